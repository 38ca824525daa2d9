"""Where what sounds, moment by moment: drawn into a 360° video, followed by a flat camera, and as a table."""
