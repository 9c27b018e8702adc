"""The layers of SSD, the single shot detector (Liu et al., 2016). Each is found by its `type:` in a prototxt."""
