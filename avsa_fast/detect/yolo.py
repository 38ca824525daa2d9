"""YOLO on equirectangular frames. ultralytics is AGPL-3.0: this file alone imports it, and only to detect."""

import os
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from avsa_fast.cache import cache_folder
from avsa_fast.detect.weights import DEFAULT, find_weights
from avsa_fast.errors import UserError

CONFIDENCE = 0.25
BATCH = 16
MIN_SIZE, MAX_SIZE, STRIDE = 640, 1280, 32  # of the network's input, pixels


@dataclass(frozen=True)
class Box:
    """An object in a frame: the direction of its box's centre and the box's angular size, radians."""

    azimuth: float
    elevation: float
    width: float
    height: float
    label: str
    score: float


class Detector(Protocol):
    def detect(self, frames: torch.Tensor) -> list[list[Box]]: ...


class YoloDetector:
    """A YOLO detector. Raises UserError where ultralytics or its weights are not to be had."""

    def __init__(
        self, weights: str | Path = DEFAULT, *, trust_weights: bool = False, device: str | torch.device | None = None
    ) -> None:
        yolo = _import_yolo()
        path = find_weights(weights, trust_weights=trust_weights)
        try:
            self._model: Any = yolo(str(path), task="detect")
        except Exception as error:  # a foreign pickle may raise anything
            raise UserError(f"{path}: not YOLO weights: {str(error).partition(chr(10))[0]}") from error
        self._device = str(device) if device is not None else None

    def detect(self, frames: torch.Tensor) -> list[list[Box]]:
        """Objects in whole ERP frames, uint8 RGB [N, H, W, 3], with confidence of at least .25; a list a frame.

        A frame covers the whole sphere, also where it was squeezed to another aspect than 2:1.
        """
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise ValueError(f"frames must be uint8 [N, H, W, 3], got {frames.dtype} {list(frames.shape)}")
        return [boxes for batch in frames.split(BATCH) if len(batch) for boxes in self._detect(batch)]

    def _detect(self, frames: torch.Tensor) -> list[list[Box]]:
        height, width = frames.shape[1:3]
        size = min(max(-(width // -STRIDE) * STRIDE, MIN_SIZE), MAX_SIZE)
        bgr = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames.cpu().numpy()]
        threads = torch.get_num_threads()  # ultralytics sets its own number when it first predicts
        try:
            results = self._model.predict(bgr, imgsz=size, conf=CONFIDENCE, device=self._device, verbose=False)
        finally:
            torch.set_num_threads(threads)
        return [
            [
                to_box(corners, (width, height), result.names[int(label)], score)
                for corners, label, score in zip(
                    result.boxes.xyxy.tolist(), result.boxes.cls.tolist(), result.boxes.conf.tolist(), strict=True
                )
            ]
            for result in results
        ]


def to_box(corners: list[float], size: tuple[int, int], label: str, score: float) -> Box:
    """A box's corners x1, y1, x2, y2, in continuous pixel coordinates of an ERP frame of (width, height), as angles."""
    (x1, y1, x2, y2), (width, height) = corners, size
    return Box(
        azimuth=(0.5 - (x1 + x2) / 2 / width) * 2 * pi,
        elevation=(0.5 - (y1 + y2) / 2 / height) * pi,
        width=(x2 - x1) / width * 2 * pi,
        height=(y2 - y1) / height * pi,
        label=label,
        score=score,
    )


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
