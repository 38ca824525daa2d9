"""Maps over the ERP frame: audio-visual similarity, and the sound energy that arrives from each direction."""

from .intensity import intensity_map
from .similarity import object_maps, search_maps, similarity_map

__all__ = ["intensity_map", "object_maps", "search_maps", "similarity_map"]
