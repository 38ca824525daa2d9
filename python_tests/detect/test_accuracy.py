"""Real objects at known places far above and below the horizon: tiles find objects that ERP frames distort."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from bench_detection import BANDS, Band, measure


@pytest.mark.slow
@pytest.mark.parametrize("band", [band for band in BANDS if band[0] >= 45])
def test_views_find_what_frames_distort(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: Band
) -> None:
    """Recall and precision within 5° are higher for tiles above 45°."""
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path))
    figures = measure(assets, band, objects=48, seed=0)
    print(band, figures)
    for of_views, of_frame in zip(figures["tiles"], figures["erp"], strict=True):
        assert of_views > of_frame
    assert figures["tiles"][0] > 0.5
