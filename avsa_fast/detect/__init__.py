"""Where the objects are in equirectangular frames: YOLO's boxes as directions."""
