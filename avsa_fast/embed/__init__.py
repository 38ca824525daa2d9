"""Embeddings of media files of any length, per time window and direction."""
