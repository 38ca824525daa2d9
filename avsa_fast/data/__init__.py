"""Datasets: media decoding, ambisonic channels, spherical metadata, tables, and loading of training samples."""
