"""The layers of nets for videos: C3D's, video-caffe's and those of temporal segments."""
