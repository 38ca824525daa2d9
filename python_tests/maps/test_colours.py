"""Colour maps: their stops, and colours between them."""

import numpy as np

from avsa_fast.maps.colours import coloured


def test_stops_and_between() -> None:
    found = coloured(np.array([[0.0, 1.0, 0.0625, 0.125]], np.float32), "inferno")
    np.testing.assert_allclose(found, [[[0, 0, 4], [252, 255, 164], [16.5, 6, 39], [33, 12, 74]]])
    np.testing.assert_allclose(coloured(np.array([0.5], np.float32), "viridis"), [[0x21, 0x91, 0x8C]])
