from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from avsa_fast.config import PRESETS, Config, load_config, save_config
from avsa_fast.errors import UserError
from avsa_fast.models import Model


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_written_and_read(tmp_path: Path, preset: str) -> None:
    save_config(PRESETS[preset], tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == PRESETS[preset]


def numbers(config: Any = None, prefix: str = "") -> list[str]:
    """Names of all numbers of a configuration."""
    config = Config() if config is None else config
    found = []
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found += numbers(value, f"{field.name}.")
        elif not isinstance(value, str | bool | tuple):
            found.append(prefix + field.name)
    return found


@pytest.mark.parametrize("name", numbers())
@pytest.mark.parametrize("value", ["-1", "1000000000000000", "1.0e+26", "-.inf", ".inf", ".nan", "1" * 400])
def test_every_number_has_a_range(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "config.yaml"
    outer, _, inner = name.rpartition(".")
    path.write_text(f"{outer}:\n  {inner}: {value}\n" if outer else f"{inner}: {value}\n")
    if name == "seed" and value == "1000000000000000":
        assert load_config(path).seed == 10**15
        return
    with pytest.raises(UserError, match=rf"config\.yaml: not a run's configuration: .*{inner}") as refusal:
        load_config(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) - len(str(path)) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("samples: {frames: 0}", r"samples\.frames 0 must be within 1 and 128"),
        ("samples: {moments: 0}", r"samples\.moments 0 must be within 1 and"),
        ("samples: {gain: -1.0}", r"samples\.gain -1\.0 must be within 0 and 1"),
        ("samples: {min_fov: 80.0, max_fov: 60.0}", r"samples\.min_fov 80\.0 must be at most max_fov 60\.0"),
        ("views: {crop_size: 0}", r"views\.crop_size 0 must be within 8 and"),
        ("views: {n_fft: 511}", r"views\.n_fft 511 must be even"),
        ("samples: {seconds: 0.05}\nviews: {n_fft: 2048}", r"views\.n_fft 2048 must be at most the 1200 samples"),
        ("model: {video_blocks: [1, 1, 0, 1]}", r"model\.video_blocks .* must be four numbers within 1 and 64"),
        ("model: {video_blocks: [1, 1, 1]}", "video_blocks"),
        ("model: {transformer_heads: 7}", r"model\.transformer_heads 7 must divide"),
        ("model: {video_width: 1024}", r"model: a network of about \d+ M parameters; at most 400 M"),
        ("cache_chunk: 4", r"cache_chunk 4 needs model\.norm group or batch_norm frozen"),
        ("learn_temperature: true\ntemperature: 2.0", r"temperature 2\.0 must be within 0\.01 and 1 to be learned"),
        ("mask_recordings: true\nsamples: {moments: 2}", r"mask_recordings leaves out the negatives that samples"),
        ("weight_decay: -1.0", r"weight_decay -1\.0 must be within 0 and 100"),
        ("data: \"a\\0b\"", "data .* must be a path"),
        ("preset: [1]", "preset"),
        ("batches: 3", "batches"),
    ],
)  # fmt: skip
def test_impossible_configurations(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"config\.yaml: not a run's configuration: .*{message}"):
        load_config(tmp_path / "config.yaml", PRESETS["paper"])


def test_epochs_and_steps() -> None:
    """An epoch of 1000 clips has 2000 visits: 17 AVC steps of 112 and 71 AVSA steps of 28, each rounded down."""
    paper = PRESETS["paper"]
    assert paper.samples.visits == 2
    assert paper.stage_steps(1000) == {"avc": 50 * 17, "avsa": 50 * 71}
    moments = replace(paper, samples=replace(paper.samples, moments=3))  # 38 and 10 visits per step
    assert moments.stage_steps(1000) == {"avc": 50 * (2000 // 38), "avsa": 50 * 200}
    assert paper.stage_steps(10) == {"avc": 50, "avsa": 50}
    assert replace(paper, steps=60).stage_steps(1000) == {"avc": 30, "avsa": 30}


def test_parameters_are_estimated() -> None:
    for config in (preset.model for preset in PRESETS.values()):
        actual = sum(parameter.numel() for parameter in Model(config).parameters())
        assert 0.6 * actual < config._parameters < 1.6 * actual


def test_a_few_keys_of_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"samples": {"frames": 4}, "views": {"audio": "foa"}}))
    config = load_config(tmp_path / "config.yaml", PRESETS["tiny"])
    assert (config.samples.frames, config.samples.max_height, config.model.audio_channels) == (4, 192, 4)
