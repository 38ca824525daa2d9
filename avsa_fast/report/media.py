"""Encodes pictures, sound and video as data URIs, to embed in a page."""

import io
import tempfile
from base64 import b64encode
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from avsa_fast.data.encode_video import write_video
from avsa_fast.maps.colours import Colours, coloured

CRF = 27  # x264 constant rate factor: one second at 960 x 480 takes about 60 kB


def jpeg(pixels: Tensor, quality: int = 82) -> str:
    """Encodes a picture as JPEG.

    Args:
        pixels: uint8 [h, w, 3], RGB.
        quality: JPEG quality, 1 to 95.

    Returns:
        Data URI.
    """
    return _picture(Image.fromarray(pixels.numpy()), "jpeg", quality=quality, optimize=True)


def heat_png(heat: Tensor, colours: Colours, *, opaque: bool = False) -> str:
    """Encodes a heat map.

    Args:
        heat: [h, w], in [0, 1].
        colours: Name of a colour map in `maps.colours`.
        opaque: If false, low values are transparent, to overlay the map on a picture.

    Returns:
        Data URI.
    """
    values = heat.numpy()
    alpha = np.full_like(values, 255) if opaque else 190 * np.clip(values * 1.6 - 0.1, 0, 1)
    return _picture(
        Image.fromarray(np.dstack([coloured(values, colours), alpha]).round().astype(np.uint8), "RGBA"),
        "png",
        optimize=True,
    )


def flac(sound: Tensor, rate: int) -> str:
    """Encodes sound as 16-bit FLAC, whose channels every browser decodes unchanged.

    Args:
        sound: float32 [C, T], clamped to [-1, 1].
        rate: Sample rate in Hz.

    Returns:
        Data URI.
    """
    file = io.BytesIO()
    soundfile.write(file, sound.clamp(-1, 1).T.numpy(), rate, subtype="PCM_16", format="FLAC", compression_level=1.0)
    return _uri("audio/flac", file.getvalue())


def mp4(frames: Tensor) -> str:
    """Encodes frames as H.264 at `data.encode_video.FPS`.

    Args:
        frames: uint8 [F, H, W, 3], RGB; an odd last row or column is dropped.

    Returns:
        Data URI.
    """
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, frames.numpy(), crf=CRF)
        return _uri("video/mp4", path.read_bytes())


def rescaled(heat: Tensor) -> Tensor:
    """Rescales a heat map to [0, 1].

    Args:
        heat: Values of any shape and range.

    Returns:
        Values of the same shape; a constant map becomes all zeros.
    """
    low, high = heat.min(), heat.max()
    return torch.zeros_like(heat) if high <= low else (heat - low) / (high - low)


def _picture(image: Image.Image, format: str, **options: int | bool) -> str:
    """Encodes an image as a data URI."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return _uri(f"image/{format}", file.getvalue())


def _uri(kind: str, content: bytes) -> str:
    """Data URI of a MIME type and its content."""
    return f"data:{kind};base64,{b64encode(content).decode()}"
