"""Encoders for use elsewhere: torch.export and ONNX programs, and a folder that the Hugging Face hub takes."""

from .pretrained import Pretrained

__all__ = ["Pretrained"]
