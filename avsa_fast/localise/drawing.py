"""Drawing of a moment over a frame of 360° video: the map, the objects, and what the colours mean."""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from avsa_fast.choices import MapKind
from avsa_fast.maps.colours import coloured
from avsa_fast.maps.grid import resize_map
from avsa_fast.terminal import printable

from .moments import Moment, SoundingObject

LEVELS = 256  # of a map when it is coloured
OPACITY = 0.75  # of the map's maximum
# Values below are transparent. The energy is low but at sources; similarities are not.
FLOORS: dict[MapKind, float] = {"embeddings": 0.4, "energy": 0.1}
TITLES: dict[MapKind, str] = {"embeddings": "match of sound and objects", "energy": "sound energy"}
LABEL_ROWS = 36  # height of the frame, in lines of text
MAX_LABEL = 24  # characters of an object's class
LOUDEST, OTHER = (255, 230, 0, 255), (255, 255, 255, 200)  # colours of boxes
BEHIND = (0, 0, 0, 190)  # text


@dataclass(frozen=True)
class Overlay:
    """A picture to blend over frames: frame * keep / 256 + add.

    Attributes:
        keep: uint16 [H, W, 3], 0 to 256; the channels are equal, which is faster than one that is broadcast.
        add: uint16 [H, W, 3], 0 to 255 * 256.
    """

    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]

    def over(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Blends the picture over a frame.

        Args:
            frame: uint8 [H, W, 3].

        Returns:
            A new frame.
        """
        blended = np.multiply(frame, self.keep, dtype=np.uint16)
        blended += self.add
        blended >>= 8
        return blended.astype(np.uint8)


class Painter:
    """Draws moments at the size of the frames."""

    def __init__(self, size: tuple[int, int], kind: MapKind) -> None:
        """Prepares the colours.

        Args:
            size: H and W of the frames, pixels.
            kind: What the maps show.
        """
        self._size, self._kind = size, kind
        values = np.linspace(0, 1, LEVELS, dtype=np.float32)
        floor = FLOORS[kind]
        opacity = OPACITY * np.clip((values - floor) / (1 - floor), 0, 1)
        self._colours = np.column_stack([coloured(values, "inferno"), 255 * opacity]).round().astype(np.uint8)
        self._text = max(8, size[0] // LABEL_ROWS)
        self._font = ImageFont.load_default(self._text)

    def overlay(self, moment: Moment) -> Overlay:
        """Draws a moment.

        Args:
            moment: The moment.

        Returns:
            The picture to blend over the frames that it is shown with.
        """
        low, high = (0.0, 1.0) if self._kind == "energy" else (float(moment.heat.min()), float(moment.heat.max()))
        levels = (moment.heat - low) / max(high - low, 1e-9) * (LEVELS - 1)
        numbers = resize_map(levels, self._size).round().clamp(0, LEVELS - 1).to(torch.uint8)
        image = Image.fromarray(self._colours[numbers.numpy()], "RGBA")
        draw = ImageDraw.Draw(image)
        loudest = max(moment.objects, key=lambda each: each.score, default=None)
        for each in sorted(moment.objects, key=lambda each: each.score):
            self._draw_object(draw, each, LOUDEST if each is loudest else OTHER)
        self._draw_legend(draw, low, high)
        pixels = np.asarray(image).astype(np.uint16)
        alpha = np.repeat(pixels[..., 3:] + (pixels[..., 3:] >= 128), 3, axis=2)  # 0 to 256
        return Overlay(256 - alpha, pixels[..., :3] * alpha)

    def _draw_object(self, draw: ImageDraw.ImageDraw, found: SoundingObject, colour: tuple[int, int, int, int]) -> None:
        """Draws an object's box, on both sides of the seam too, and its label with a bar as long as its score."""
        height, width = self._size
        box, line = found.box, max(1, height // 240)
        half = box.width / (4 * pi) * width
        top, bottom = ((0.5 - (box.elevation + side * box.height / 2) / pi) * height for side in (1, -1))
        middle = (0.5 - box.azimuth / (2 * pi)) % 1 * width
        label = f"{printable(box.label)[:MAX_LABEL]} {found.track}  {found.score:.2f}"
        wide = draw.textlength(label, font=self._font)
        for shift in (-width, 0, width):
            x = middle + shift
            edges = (round(x - half), round(top), round(x + half), round(bottom))
            draw.rectangle(edges, outline=colour, width=line)
        left = max(min(middle - half, width - wide), 0)
        above = min(max(top - 1.5 * self._text, 0), height - 1.5 * self._text)
        draw.rectangle((left, above, left + wide, above + 1.5 * self._text), fill=BEHIND)
        draw.text((left, above), label, font=self._font, fill=colour)
        bar = wide * min(max(found.score, 0.0), 1.0)
        draw.rectangle((left, above + 1.3 * self._text, left + bar, above + 1.5 * self._text), fill=colour)

    def _draw_legend(self, draw: ImageDraw.ImageDraw, low: float, high: float) -> None:
        """Draws what the colours mean, in the lower left corner."""
        height, _ = self._size
        text, bottom = self._text, height - self._text // 2
        label = f"{TITLES[self._kind]}: {low:.2f} to {high:.2f}"
        wide = draw.textlength(label, font=self._font)
        draw.rectangle((0, bottom - 2 * text, wide + text, bottom), fill=BEHIND)
        draw.text((text // 2, bottom - 2 * text), label, font=self._font, fill=(255, 255, 255, 255))
        for number, colour in enumerate(self._colours):
            place = text // 2 + wide * number / LEVELS
            draw.rectangle(
                (place, bottom - text // 2, place + wide / LEVELS, bottom - text // 5), fill=(*colour[:3], 255)
            )
