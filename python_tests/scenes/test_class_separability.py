import numpy as np
import pytest

from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.scene import Material, draw_scene
from avsa_fast.scenes.sound import RATE

BANDS = np.geomspace(80, 12_000, 49)


def features(window: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Log band energies of sound from a direction [3], for 1 s of sound [4, T]."""
    frames = np.lib.stride_tricks.sliding_window_view(window, 512, axis=1)[:, ::240] * np.hanning(512)
    w, y, z, x = np.fft.rfft(frames)  # [frames, bins]
    frequency = np.fft.rfftfreq(512, 1 / RATE)
    towards = np.real(w.conj() * (direction[0] * x + direction[1] * y + direction[2] * z)).sum(axis=0)
    power = np.square(np.abs(w)).sum(axis=0)
    band = np.digitize(frequency, BANDS)
    energy, flow = (np.bincount(band, values, len(BANDS) + 1) for values in (power, towards))
    share = np.clip(flow / (energy + 1e-12), 1e-3, None)
    return np.log10(energy * share**8 / energy.sum() + 1e-4)


@pytest.mark.slow
def test_one_second_of_sound_identifies_the_class(rng):
    rows, labels = [], []
    for _ in range(40):
        scene = draw_scene(rng, 32, Material())
        for source, track in zip(scene.sources, scene.tracks, strict=True):
            start = int(rng.integers(RATE))
            direction = unit_vectors(track.at(np.array([start / RATE + 0.5])))[0]
            rows.append(features(scene.sound[:, start : start + RATE], direction))
            labels.append(source.label)
    known, queries = np.array(rows[:100]), np.array(rows[100:])
    names = sorted(set(labels[:100]))
    labels = np.array(labels)
    centroids = np.stack([known[labels[:100] == name].mean(axis=0) for name in names])
    distances = np.square(queries[:, None] - centroids).sum(axis=-1)
    assert (np.array(names)[distances.argmin(axis=1)] == labels[100:]).mean() > 0.95
