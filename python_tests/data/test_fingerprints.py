import pytest
import torch
from helpers.sound_scenes import RATE, walk
from torchaudio.functional import resample

from avsa_fast.data.field import field_of
from avsa_fast.data.fingerprints import BITS, picture_print, sound_print


def distance(a: list[int] | None, b: list[int] | None) -> int:
    """Number of bits that differ."""
    return sum((x ^ y).bit_count() for x, y in zip(a or [], b or [], strict=True))


def test_a_sound_keeps_its_fingerprint() -> None:
    scene, _ = walk()
    own = sound_print(field_of(scene, RATE))
    assert own is not None
    assert len(own) == 4
    assert sound_print(field_of(0.1 * scene, RATE)) == own
    assert distance(sound_print(field_of(resample(scene, RATE, 24000), 24000)), own) < BITS / 5  # noise: the worst case
    quiet = scene + 1e-4 * torch.randn(scene.shape, generator=torch.Generator().manual_seed(1))
    assert distance(sound_print(field_of(quiet, RATE)), own) <= 8
    others = [sound_print(field_of(walk(seed=seed)[0], RATE)) for seed in range(1, 6)]
    assert min(distance(other, own) for other in others) > BITS / 4


def test_silence_and_snippets_have_none() -> None:
    assert sound_print(field_of(torch.zeros(4, 8 * RATE), RATE)) is None
    assert sound_print(field_of(walk(seconds=1)[0], RATE)) is None


def test_a_picture_keeps_its_fingerprint() -> None:
    generator = torch.Generator().manual_seed(0)
    image = 255 * torch.rand(8, 16, generator=generator).repeat_interleave(8, 0).repeat_interleave(8, 1)
    own = picture_print(image)
    assert picture_print(image[::2, ::2]) == own
    assert picture_print(0.5 * image + 10) == own
    assert distance(picture_print(image + 4 * torch.randn(image.shape, generator=generator)), own) <= 4
    assert distance(picture_print(255 - image), own) == BITS
    assert distance(picture_print(255 * torch.rand(64, 128, generator=generator)), own) > BITS / 4
    assert picture_print(torch.full((64, 128), 30.0)) is None


@pytest.mark.parametrize("value", [0, 255])
def test_words_are_those_of_the_bits(value: int) -> None:
    ramp = torch.arange(16.0).expand(8, 16) * (1 if value else -1)
    words = picture_print(16 * ramp)
    rising = [(1 << 15) - 1 + (((1 << 15) - 1) << 16)] * 4  # from the last column to the first it falls
    assert words == (rising if value else [word ^ 0xFFFFFFFF for word in rising])
