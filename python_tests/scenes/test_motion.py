import numpy as np
import pytest

from avsa_fast.scenes.motion import draw_tracks, unit_vectors


@pytest.mark.parametrize("number", [1, 3, 4])
def test_sources_stay_in_separate_quadrants_and_move_slowly(number, rng):
    times = np.linspace(0, 10, 500)
    for _ in range(10):
        paths = np.stack([track.at(times) for track in draw_tracks(rng, number, 10)])  # [S, N, 2]
        azimuth, elevation = np.degrees(paths).transpose(2, 0, 1)
        quadrant = np.floor(azimuth / 90)
        assert (quadrant == quadrant[:, :1]).all()
        assert len(set(quadrant[:, 0])) == number
        assert (np.abs(azimuth - 90 * quadrant - 45) <= 33.01).all()
        assert (np.abs(elevation) <= 35.01).all()

        vectors = unit_vectors(paths)
        for a in range(number):
            for b in range(a):
                assert np.degrees(np.arccos((vectors[a] * vectors[b]).sum(axis=-1).max())) > 42.5
        speed = np.degrees(np.abs(np.diff(paths, axis=1)).max(axis=(1, 2))) / (times[1] - times[0])
        assert (speed > 1).all()
        assert (speed < 15).all()
