"""YOLO object detector. ultralytics is AGPL-3.0: only this file imports it, and only for detection."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from avsa_fast.cache import cache_folder
from avsa_fast.choices import MIN_CONFIDENCE as MIN_CONFIDENCE
from avsa_fast.detect.boxes import Rectangle
from avsa_fast.detect.weights import DEFAULT_WEIGHTS, find_weights
from avsa_fast.errors import UserError

BATCH_SIZE = 16  # images
MIN_SIZE, MAX_SIZE, STRIDE = 640, 1280, 32  # limits and granularity of the network's input size, pixels


class YoloDetector:
    """YOLO detector.

    Args:
        weights: Path or name of the weights; see `find_weights`.
        classes: Names of the classes to detect; empty for all.
        confidence: Minimum score of a detection.
        trust_weights: Whether to load weights of unknown checksum.
        device: Device to run on; by default ultralytics chooses.

    Raises:
        UserError: Ultralytics or the weights are not available, or the weights do not have a requested class.
    """

    def __init__(
        self,
        weights: str | Path = DEFAULT_WEIGHTS,
        *,
        classes: Sequence[str] = (),
        confidence: float = MIN_CONFIDENCE,
        trust_weights: bool = False,
        device: str | torch.device | None = None,
    ) -> None:
        yolo = _import_yolo()
        path = find_weights(weights, trust_weights=trust_weights)
        try:
            self._model: Any = yolo(str(path), task="detect")
            numbers = {name: number for number, name in self._model.names.items()}
        except Exception as error:  # unpickling an arbitrary file may raise anything
            raise UserError(f"{path}: not YOLO weights: {str(error).partition(chr(10))[0]}") from error
        if unknown := [name for name in classes if name not in numbers]:
            raise UserError(f"--classes {unknown[0]}: not a class of {path.name}: {', '.join(sorted(numbers))}")
        self._options = {
            "classes": [numbers[name] for name in classes] or None,
            "conf": confidence,
            "device": str(device) if device is not None else None,
        }

    def detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        """Detects objects.

        Args:
            images: uint8 RGB [N, H, W, 3].

        Returns:
            One list of objects per image.

        Raises:
            ValueError: `images` has another dtype or shape.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must be uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}")
        return [found for batch in images.split(BATCH_SIZE) if len(batch) for found in self._detect(batch)]

    def _detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        size = min(max(-(max(images.shape[1:3]) // -STRIDE) * STRIDE, MIN_SIZE), MAX_SIZE)
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images.cpu().numpy()]
        threads = torch.get_num_threads()  # ultralytics changes it on the first prediction
        try:
            results = self._model.predict(bgr, imgsz=size, verbose=False, **self._options)
        finally:
            torch.set_num_threads(threads)
        return [
            [
                Rectangle(x1, y1, x2, y2, result.names[int(label)], score)
                for (x1, y1, x2, y2), label, score in zip(
                    result.boxes.xyxy.tolist(), result.boxes.cls.tolist(), result.boxes.conf.tolist(), strict=True
                )
            ]
            for result in results
        ]


def _import_yolo() -> Any:
    """Imports ultralytics' YOLO class, without network access, package installation or changes to this process."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder() / "ultralytics"))
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    threads = os.environ.get("OMP_NUM_THREADS")
    try:
        # ultralytics replaces Image.open by a version that installs packages for unknown file formats.
        with patch.object(Image, "open", Image.open):
            from ultralytics.models import YOLO
    except ImportError as error:
        raise UserError(
            f"object detection needs ultralytics ({error}): pip install 'avsa_fast[yolo]' (its licence is AGPL-3.0)"
        ) from error
    finally:
        if threads is None:
            os.environ.pop("OMP_NUM_THREADS", None)
    return YOLO
