"""Where the objects are in 360° frames: a detector's rectangles as directions."""
