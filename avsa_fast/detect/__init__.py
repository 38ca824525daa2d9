"""Object detection in 360° frames, with objects located by direction."""
