"""Definitions that operations, references, data and reports share: ambisonics, features, cubemaps, colour."""
