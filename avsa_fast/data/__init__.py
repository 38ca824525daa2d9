"""Datasets on disk: media, sound channels and tables, and the samples that training takes from them."""
