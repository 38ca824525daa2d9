import numpy as np
import pytest

from avsa_fast.scenes.procedural_images import draw_panorama
from avsa_fast.scenes.procedural_objects import CLASSES, draw_sources
from avsa_fast.scenes.sound import RATE


@pytest.mark.parametrize("object_class", CLASSES, ids=lambda object_class: object_class.name)
def test_sounds_have_no_long_pauses(object_class, rng):
    signal = object_class.sound(rng, np.arange(3 * RATE) / RATE, 1.0)
    windows = np.square(signal).reshape(-1, int(0.375 * RATE)).mean(axis=1)
    assert windows.min() > 0.2 * windows.mean()


def test_spectra_overlap_little(rng):
    bands = np.geomspace(50, 12_000, 40)
    shares = []
    for source in draw_sources(rng, len(CLASSES), RATE, 160):
        power = np.square(np.abs(np.fft.rfft(source.signal)))
        share = np.bincount(np.digitize(np.arange(len(power)), bands), power, len(bands) + 1)
        shares.append(share / share.sum())
    for i, share in enumerate(shares):
        for other in shares[:i]:
            assert np.minimum(share, other).sum() < 0.3


def test_sources_have_different_classes_and_vary(rng):
    first, second = (draw_sources(rng, len(CLASSES), RATE, 160) for _ in range(2))
    assert {source.label for source in first} == {object_class.name for object_class in CLASSES}
    others = {source.label: source for source in second}
    for source in first:
        other = others[source.label]
        assert np.radians(24.9) < max(source.sprite.angular_size) < np.radians(40.1)
        assert source.sprite.texels.shape != other.sprite.texels.shape or not np.allclose(
            source.sprite.texels, other.sprite.texels
        )
        assert not np.allclose(source.signal, other.signal)
        assert np.mean(np.square(source.signal)) == pytest.approx(1, rel=1e-3)


def test_panorama_has_no_seam_and_uniform_poles(rng):
    image = draw_panorama(rng, 160, 320).astype(int)
    inner = np.abs(np.diff(image, axis=1)).max()
    assert np.abs(image[:, 0] - image[:, -1]).max() <= inner
    assert np.ptp(image[[0, -1]], axis=1).max() <= 12
    assert image[:, :, 0].std() > 5
