"""Embeddings of files of any length: what is seen and heard in a window of time, in one direction or several."""
