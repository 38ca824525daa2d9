"""Accuracy for real objects far above and below the horizon, where ERP frames distort them."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from bench_detection import BANDS, Band, measure


@pytest.mark.slow
@pytest.mark.parametrize("band", [band for band in BANDS if band[0] >= 45])
def test_tiles_outperform_erp_near_the_poles(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: Band
) -> None:
    """Recall and precision within 5° are higher for tiles above 45°."""
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path))
    metrics = measure(assets, band, objects=48, seed=0)
    print(band, metrics)
    for tiles, erp in zip(metrics["tiles"], metrics["erp"], strict=True):
        assert tiles > erp
    assert metrics["tiles"][0] > 0.5
