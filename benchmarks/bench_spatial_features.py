"""spatial_features: kernel against reference; torchaudio's log-mel as a peer. A batch is samples of 1 s at 24 kHz."""

from typing import Any, ClassVar

import pytest
import torch
import torchaudio
from pytest_benchmark.fixture import BenchmarkFixture

from avsa_fast import ops, reference

SCENES, VIEWS = 8, 4
CASES: dict[str, dict[str, Any]] = {
    "FOA + intensity vector": {"view": "rotate", "spatial": "iv"},
    "FOA": {"view": "rotate", "spatial": None},
    "stereo + ICF": {"view": "stereo", "spatial": "icf"},
    "beam": {"view": "beamform", "spatial": None},
}


def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Signals [B, 4, T] and directions [B, K, 2]."""
    return torch.randn(SCENES, 4, 24000), torch.rand(SCENES, VIEWS, 2) * 2 - 1


def case(name: str) -> Any:
    return pytest.param(CASES[name], marks=pytest.mark.benchmark(group=f"spatial_features: {name}"), id=name)


@pytest.mark.parametrize("options", [case(name) for name in CASES])
def test_kernel(benchmark: BenchmarkFixture, options: dict[str, Any]) -> None:
    benchmark(ops.spatial_features, *scenes(), **options)


@pytest.mark.parametrize("options", [case(name) for name in CASES])
def test_reference(benchmark: BenchmarkFixture, options: dict[str, Any]) -> None:
    benchmark.pedantic(reference.spatial_features, scenes(), options, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="spatial_features: log-mel of 128 signals")
class TestLogMel:
    signals = torch.randn(128, 1, 24000)
    options: ClassVar[dict[str, Any]] = {"view": "mono", "spatial": None}

    def test_kernel(self, benchmark: BenchmarkFixture) -> None:
        benchmark(ops.spatial_features, self.signals, **self.options)

    def test_reference(self, benchmark: BenchmarkFixture) -> None:
        benchmark(reference.spatial_features, self.signals, **self.options)

    def test_torchaudio(self, benchmark: BenchmarkFixture) -> None:
        mel = torchaudio.transforms.MelSpectrogram(
            24000, n_fft=512, hop_length=240, n_mels=64, center=False, norm="slaney", mel_scale="slaney"
        )
        benchmark(lambda: mel(self.signals).clamp(min=1e-10).log())
