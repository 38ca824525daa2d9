"""YOLO on pictures. ultralytics is AGPL-3.0: this file alone imports it, and only to detect."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from avsa_fast.cache import cache_folder
from avsa_fast.detect.boxes import Rectangle
from avsa_fast.detect.weights import DEFAULT, find_weights
from avsa_fast.errors import UserError

CONFIDENCE = 0.25
BATCH = 16
MIN_SIZE, MAX_SIZE, STRIDE = 640, 1280, 32  # of the network's input, pixels


class YoloDetector:
    """A YOLO detector of objects of some classes (all, where none are named) of at least some confidence.

    Raises UserError where ultralytics or its weights are not to be had, or do not know a class.
    """

    def __init__(
        self,
        weights: str | Path = DEFAULT,
        *,
        classes: Sequence[str] = (),
        confidence: float = CONFIDENCE,
        trust_weights: bool = False,
        device: str | torch.device | None = None,
    ) -> None:
        yolo = _import_yolo()
        path = find_weights(weights, trust_weights=trust_weights)
        try:
            self._model: Any = yolo(str(path), task="detect")
            numbers = {name: number for number, name in self._model.names.items()}
        except Exception as error:  # a foreign pickle may raise anything
            raise UserError(f"{path}: not YOLO weights: {str(error).partition(chr(10))[0]}") from error
        if unknown := [name for name in classes if name not in numbers]:
            raise UserError(f"--classes {unknown[0]}: not among those of {path.name}: {', '.join(sorted(numbers))}")
        self._options = {
            "classes": [numbers[name] for name in classes] or None,
            "conf": confidence,
            "device": str(device) if device is not None else None,
        }

    def detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        """Objects in pictures, uint8 RGB [N, H, W, 3]; a list a picture."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images must be uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}")
        return [found for batch in images.split(BATCH) if len(batch) for found in self._detect(batch)]

    def _detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        size = min(max(-(max(images.shape[1:3]) // -STRIDE) * STRIDE, MIN_SIZE), MAX_SIZE)
        bgr = [np.ascontiguousarray(image[..., ::-1]) for image in images.cpu().numpy()]
        threads = torch.get_num_threads()  # ultralytics sets its own number when it first predicts
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
    """ultralytics' YOLO class, kept from the network, from installing packages and from changing our process."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_folder() / "ultralytics"))
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    threads = os.environ.get("OMP_NUM_THREADS")
    try:
        # ultralytics puts an opener of its own into Pillow, which installs packages for a file it does not know.
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
