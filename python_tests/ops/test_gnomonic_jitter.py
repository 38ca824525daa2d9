"""Colour jitter and normalisation of crops against torchvision, at the ends of ranges, for every kind of colour."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as vision

from avsa_fast import ops

UNIT_ROUNDOFF = 2.0**-24
COLOURS = [  # black, grey, white; pure, mixed and nearly grey colours; two equal channels, on each side of the third
    (0, 0, 0), (128, 128, 128), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255),
    (255, 0, 255), (128, 128, 127), (127, 128, 128), (128, 127, 128), (200, 90, 90), (90, 200, 90), (90, 90, 200),
    (13, 200, 77), (250, 3, 190), (40, 39, 41),
]  # fmt: skip
FACTORS, HUES = (0.0, 1.0, 2.5), (-0.5, -1 / 6, 0.0, 1 / 3, 0.5)


def adjusted(image: Tensor, jitter: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue of an image [3, h, w], in this order, by torchvision."""
    adjustments = (vision.adjust_brightness, vision.adjust_contrast, vision.adjust_saturation, vision.adjust_hue)
    for adjust, amount in zip(adjustments, jitter.tolist(), strict=True):
        image = adjust(image, amount)
    return image


@pytest.fixture
def crops_of_colours(kernel_device: torch.device) -> dict[str, object]:
    """Arguments of crops whose pixels are those of a frame of few colours, at the equator."""
    H, W = 32, 64
    generator = torch.Generator().manual_seed(0)
    frames = torch.tensor(COLOURS, dtype=torch.uint8)[torch.randint(len(COLOURS), (1, 1, H, W), generator=generator)]
    triples = list(product(FACTORS, FACTORS, FACTORS))
    jitter = torch.tensor([(*factors, HUES[k % len(HUES)]) for k, factors in enumerate(triples)])[None]
    directions = torch.zeros(1, jitter.shape[1], 2)
    directions[..., 0] = torch.arange(jitter.shape[1]) * (2 * torch.pi / W)  # whole columns
    arguments = {"frames": frames, "directions": directions, "jitter": jitter}
    there = {name: value.to(kernel_device) for name, value in arguments.items()}
    return {**there, "fov": 0.7, "size": (6, 8), "antialias": False}


def test_jitter_at_the_ends_of_its_ranges(crops_of_colours: dict[str, object]) -> None:
    jitter = crops_of_colours["jitter"][0].cpu()
    plain = ops.gnomonic(**{**crops_of_colours, "jitter": None})[0, :, :, 0].cpu()
    crops = ops.gnomonic(**crops_of_colours)[0, :, :, 0].cpu()
    bytes_of_crops = ops.gnomonic(**crops_of_colours, dtype=torch.uint8)[0, :, :, 0].cpu()
    for image, crop, pixels, amounts in zip(plain, crops, bytes_of_crops, jitter, strict=True):
        expected = adjusted(image, amounts)
        limit = bound(amounts, image[0].numel())
        assert (crop - expected).abs().max() <= limit, amounts
        assert (pixels - 255 * expected).abs().max() <= 0.5 + 255 * limit, amounts


def bound(jitter: Tensor, pixels: int) -> float:
    """Error of both sides: each stage multiplies that before it by its factor, and adds roundings of numbers up to it.

    The mean of a picture has one rounding a pixel and 3 of its luma; a blend 4; hue, divided by the chroma and
    multiplied again, adds 12 and passes the errors of three channels on.
    """
    brightness, contrast, saturation, _ = jitter.tolist()
    error = 2 * brightness
    error = contrast * error + abs(1 - contrast) * (error + pixels + 3) + 4 * max(contrast, 1)
    error = saturation * error + abs(1 - saturation) * (error + 3) + 4 * max(saturation, 1)
    return 2 * (3 * error + 12) * UNIT_ROUNDOFF


def test_mean_and_std_match_torchvision(crops_of_colours: dict[str, object]) -> None:
    mean, std = [0.485, 0.456, 0.0], [0.229, 1e-3, 30.0]
    plain = ops.gnomonic(**crops_of_colours)[0, :, :, 0].cpu()
    normalised = ops.gnomonic(**crops_of_colours, mean=mean, std=std)[0, :, :, 0].cpu()
    expected = vision.normalize(plain, mean, std)
    # Roundings of mean, std, difference and quotient; the value's own, if it is kept in more bits before.
    limit = 6 * UNIT_ROUNDOFF * (1 / torch.tensor(std))[:, None, None]
    assert ((normalised - expected).abs() <= limit).all()
