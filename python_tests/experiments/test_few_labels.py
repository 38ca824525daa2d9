"""The comparison of detectors in small: its folders are reused, and its table has the right numbers."""

import json
from pathlib import Path
from typing import Any

import few_labels
import pytest

from avsa_fast.seld.config import SeldConfig


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Trainings are replaced by their scores: F is 10 % per minute, and fine-tuning adds 20 % and 40 %."""
    started: list[tuple[str, bool]] = []

    def start(run: Path, data: Path, out: Path, config: SeldConfig, *, resume: bool) -> None:
        started.append((out.name, resume))
        out.mkdir(exist_ok=True)
        f_score = (config.minutes or 0) / 10 + (0.2 * (config.seed + 1) if config.mode == "finetune" else 0)
        values: dict[str, Any] = {"f_score": f_score, "angular_error": None, "seld_score": 1 - f_score}
        (out / "metrics.json").write_text(json.dumps({"micro": {key: {"value": x} for key, x in values.items()}}))

    monkeypatch.setattr(few_labels, "start", start)
    out = tmp_path / "out"
    (out / "2-minutes-frozen-1").mkdir(parents=True)
    (out / "2-minutes-frozen-1" / "seld.yaml").touch()  # an interrupted training
    for _ in range(2):
        few_labels.main(tmp_path / "run", out, data=tmp_path / "tree", classes=2, minutes=(2,), seeds=(0, 1))
    names = [f"2-minutes-{mode}-{seed}" for mode in ("finetune", "frozen", "scratch") for seed in (0, 1)]
    assert started == [(name, name == "2-minutes-frozen-1") for name in names]
    lines = (out / "table.md").read_text().splitlines()
    # Differences of 20 and 40: 30 ± t(0.975, 1) * 14.14 / sqrt(2), and t is 12.706.
    assert lines[2].startswith("| 2 | finetune | 50 (40, 60); +30 [-97.1, +157] | 180 (180, 180); +0 [+0, +0] | ")
    assert lines[4] == "| 2 | scratch | 20 (20, 20) | 180 (180, 180) | 0.8 (0.8, 0.8) |"
    assert capsys.readouterr().out.count("| minutes | encoder |") == 2
