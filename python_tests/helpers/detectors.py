"""Detectors for tests, selected by name, which measure the brightness of an image."""

import os
import time

from torch import Tensor

from avsa_fast.detect.boxes import Rectangle


class BrightnessDetector:
    """Detects one object per bright image, at a height that is proportional to the brightness."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        H, W = images.shape[1:3]
        boxes = []
        for image in images:
            level = float(image.float().mean()) / 255
            x, y = W / 2, (1 - level) * H
            box = Rectangle(x - W / 20, y - H / 20, x + W / 20, y + H / 20, "light", 0.75)
            boxes.append([box] if level > 0.2 else [])
        return boxes


class SlowDetector(BrightnessDetector):
    """Waits before each detection."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        time.sleep(0.05)
        return super().detect(images)


class CrashingDetector(BrightnessDetector):
    """Ends its process if all images are white, and hangs if all are black."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        if (images > 250).all():
            os._exit(7)
        if (images < 5).all():
            time.sleep(3600)
        return super().detect(images)


class UnboundedMemoryDetector(BrightnessDetector):
    """Allocates memory without limit."""

    def detect(self, images: Tensor) -> list[list[Rectangle]]:
        held = []
        while True:
            held.append(images.new_ones(1 << 26))


def not_a_detector() -> object:
    return object()
