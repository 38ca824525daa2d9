"""From 360° video with ambisonic sound to spatially aware audio-visual embeddings."""
