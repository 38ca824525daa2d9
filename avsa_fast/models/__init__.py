"""Networks: video and audio encoders, projection heads, and transformers that predict each modality from the other."""

from .audio import AudioEncoder
from .model import Embeddings, Model, ModelConfig
from .video import VideoEncoder

__all__ = ["AudioEncoder", "Embeddings", "Model", "ModelConfig", "VideoEncoder"]
