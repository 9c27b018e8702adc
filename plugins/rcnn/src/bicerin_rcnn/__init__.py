"""The layers of Fast R-CNN, Faster R-CNN and R-FCN."""
