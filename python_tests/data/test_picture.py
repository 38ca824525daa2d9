import pytest
import torch

from avsa_fast.data.picture import PictureMeter


def columns(*frames: torch.Tensor) -> dict[str, object]:
    meter = PictureMeter()
    for frame in frames:
        meter.add(frame)
    return meter.columns()


def photograph(height: int = 320, seed: int = 0) -> torch.Tensor:
    """Blocks of random colours, uint8 [height, 2 · height, 3]."""
    blocks = torch.randint(0, 256, (8, 16, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return blocks.repeat_interleave(height // 8, 0).repeat_interleave(height // 8, 1)


def test_a_moving_object_is_a_change() -> None:
    image, later = photograph(), photograph()
    later[100:120, 200:220] = 255 - later[100:120, 200:220]  # 11° wide
    measured = columns(image, image, later)
    assert measured["picture_change"] > 50
    assert columns(image, image)["picture_change"] == 0
    noisy = (image.int() + torch.randint(-3, 4, image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 255)
    assert columns(image, noisy.to(torch.uint8))["picture_change"] <= 3


def test_contrast() -> None:
    assert columns(torch.full((100, 200, 3), 77, dtype=torch.uint8))["picture_contrast"] == 0
    half = torch.zeros(128, 256, 3, dtype=torch.uint8)
    half[:, 128:] = 100
    measured = columns(torch.zeros_like(half), half)
    assert measured["picture_contrast"] == pytest.approx(50)
    assert measured["picture_change"] == pytest.approx(100)


def test_fingerprint_is_that_of_the_mean_at_any_size() -> None:
    assert columns(photograph())["picture_print"] == columns(photograph(640), photograph(640))["picture_print"]
    assert columns(photograph())["picture_print"] != columns(photograph(seed=1))["picture_print"]


def test_few_frames() -> None:
    assert columns() == {}
    assert columns(photograph())["picture_change"] is None
