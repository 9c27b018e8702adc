"""The layers of YOLO, versions 1 to 3."""
