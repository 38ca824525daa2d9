"""Benchmarks encode, rotate, beamform and spatial_features on the CPU against other implementations.

Peers: torch.einsum with matrices computed in the same call, spaudiopy (one scene at a time, as its API requires), and
for the features the usual composition of torch and torchaudio, which rotates first. Peers that are not installed are
skipped.

Encode, rotate and beamform are also compared with memory bandwidth, for the same number of bytes read and written:
`copy` copies between mapped buffers, `clone` allocates its result as the operations do, and `limit` reads the signals
and writes the output, which it allocates, without computing anything. All of them cycle through more memory than the
caches hold. Memory bandwidth varies from second to second, so each round times all three, one
after the other, each at its second call, when its code is cached. The share of a copy's bandwidth is the median over
the rounds.
"""

from collections.abc import Callable
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any

import limits
import numpy as np
import pytest
import torch
import torchaudio
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference.harmonics import rotation_matrices, spherical_harmonics
from avsa_fast.spatial.beams import beam_gains, beam_weights

SECOND, VIEWS = 24000, 4
MEMORY = 64 * 2**20  # floats: 256 MB
# scenes, ambisonic order, operation; encode takes 4 sources, rotate and beamform 4 directions
MIXES = {
    "encode, 64 scenes": (64, 1, "encode"),
    "rotate, 16 scenes": (16, 1, "rotate"),
    "rotate, 64 scenes (98 MB, fresh memory)": (64, 1, "rotate"),
    "beamform, 64 scenes": (64, 1, "beamform"),
    "rotate, 4 scenes of order 3": (4, 3, "rotate"),
    "beamform, 16 scenes of order 3": (16, 3, "beamform"),
}
FEATURES: dict[str, dict[str, Any]] = {
    "FOA + intensity vector": {"view": "rotate", "spatial": "iv"},
    "FOA": {"view": "rotate", "spatial": None},
    "stereo + ICF": {"view": "stereo", "spatial": "icf"},
    "beam": {"view": "beamform", "spatial": None},
}
CLIPS = 32


class Mix:
    """Arguments of a case: directions, and signals that cycle through more memory than the caches hold."""

    def __init__(self, name: str) -> None:
        scenes, self.order, self.name = MIXES[name]
        C = 4 if self.name == "encode" else (self.order + 1) ** 2
        pools = max(1, MEMORY // (scenes * C * SECOND) // 2)
        self.pool = torch.randn(pools, scenes, C, SECOND)
        self.directions = torch.rand(scenes, VIEWS, 2) * 2 - 1
        self.position = count()
        rows = {"encode": 4, "rotate": VIEWS * C, "beamform": VIEWS}[self.name]
        self.out = (scenes, rows, SECOND)
        self.floats = scenes * (C + rows) * SECOND  # read and written per call

    def sound(self) -> Tensor:
        """Returns the next signals [scenes, C, T]."""
        return self.pool[next(self.position) % len(self.pool)]


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.benchmark(group=f"ambisonics: {n}")) for n in MIXES])
def mix(request: pytest.FixtureRequest) -> Mix:
    """Arguments of a mixing operation."""
    return Mix(request.param)


def measure(benchmark: Any, call: Callable[[], Any], rounds: int = 15) -> None:
    """Benchmarks a call, with two warm-up rounds."""
    benchmark.pedantic(call, rounds=rounds, warmup_rounds=2)


def timed(call: Callable[[], Any]) -> float:
    """Calls twice and returns the seconds of the second call."""
    call()
    start = perf_counter()
    call()
    return perf_counter() - start


def test_kernel(benchmark: Any, mix: Mix) -> None:
    half, starts = mix.floats // 2, count()
    source, target = torch.ones(MEMORY + half), torch.ones(MEMORY + half)
    peers: dict[str, list[float]] = {"copy": [], "clone": [], "limit": []}

    def part(memory: Tensor) -> Tensor:
        start = next(starts) * half % MEMORY
        return memory[start : start + half]

    def kernel() -> Tensor:
        return getattr(ops, mix.name)(mix.sound(), mix.directions)

    def before() -> None:
        peers["copy"].append(timed(lambda: part(target).copy_(part(source))))
        peers["clone"].append(timed(lambda: part(source).clone()))
        peers["limit"].append(timed(lambda: limits.read_and_write(mix.sound(), mix.out)))
        kernel()

    benchmark.pedantic(kernel, setup=before, rounds=31, warmup_rounds=2)
    own = benchmark.stats.stats.data
    for name, seconds in peers.items():
        seconds = seconds[-len(own) :]
        benchmark.extra_info[name] = median(seconds)
        benchmark.extra_info[f"share of {name}"] = median(s / k for s, k in zip(seconds, own, strict=True))


def test_einsum(benchmark: Any, mix: Mix) -> None:
    def einsum() -> Tensor:
        if mix.name == "rotate":
            return torch.einsum("bkdc,bct->bkdt", rotation_matrices(mix.directions, order=mix.order), mix.sound())
        harmonics = spherical_harmonics(mix.directions, mix.order)
        if mix.name == "encode":
            return torch.einsum("bsc,bst->bct", harmonics, mix.sound())
        weights = beam_weights(harmonics, beam_gains("cardioid", mix.order))
        return torch.einsum("bkc,bct->bkt", weights, mix.sound())

    measure(benchmark, einsum)


def test_spaudiopy(benchmark: Any, mix: Mix) -> None:
    sph = pytest.importorskip("spaudiopy").sph
    if mix.name == "beamform":
        pytest.skip("its beams need scipy.special.sph_harm, which SciPy 1.17 no longer has")
    azimuth, elevation = mix.directions.double().numpy().transpose(2, 0, 1)

    def scene(b: int, sound: np.ndarray) -> Any:
        angles = list(zip(azimuth[b], elevation[b], strict=True))
        if mix.name == "encode":
            return sum(sph.src_to_b(s, a, np.pi / 2 - e) for s, (a, e) in zip(sound, angles, strict=True))
        return [sph.rotate_sh(sound.T, -a, e, 0) for a, e in angles]  # its pitch has the opposite sign: same work

    measure(benchmark, lambda: [scene(b, s) for b, s in enumerate(mix.sound().numpy())], rounds=3)


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.benchmark(group=f"features: {n}")) for n in FEATURES])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments of spatial_features."""
    return FEATURES[request.param]


def clips() -> tuple[Tensor, Tensor]:
    """Returns FOA signals of 1 s [32, 4, T] and directions [32, 4, 2]."""
    return torch.randn(CLIPS, 4, SECOND), torch.rand(CLIPS, VIEWS, 2) * 2 - 1


def test_features_kernel(benchmark: Any, options: dict[str, Any]) -> None:
    signals, directions = clips()
    measure(benchmark, lambda: ops.spatial_features(signals, directions, **options))


def test_features_composition(benchmark: Any, options: dict[str, Any]) -> None:
    """Rotation, STFT and mel bands in float32, with torch and torchaudio."""
    signals, directions = clips()
    view, spatial = options["view"], options["spatial"]
    window = torch.hann_window(512)
    bank = torchaudio.functional.melscale_fbanks(257, 0, 12000, 64, 24000, norm="slaney", mel_scale="slaney")
    averaging = bank / bank.sum(0)

    def composition() -> Tensor:
        if view == "beamform":
            views = reference.beamform(signals, directions).unsqueeze(2)
        else:
            views = reference.rotate(signals, directions)
        if view == "stereo":
            views = torch.stack([views[:, :, 0] + views[:, :, 1], views[:, :, 0] - views[:, :, 1]], dim=2) / 2
        spectrum = torch.stft(
            views.flatten(0, 2), 512, 240, window=window, center=False, return_complex=True
        ).unflatten(0, views.shape[:3]).mT  # fmt: skip
        power = spectrum.abs().square()
        parts = [(power @ bank).clamp(min=1e-10).log()]
        if spatial == "iv":
            flow = (spectrum[:, :, :1].conj() * spectrum[:, :, [3, 1, 2]]).real
            parts.append((2 * flow / (1e-12 + power.sum(2, keepdim=True))) @ averaging)
        elif spatial == "icf":
            level = power.clamp(min=1e-16).log()
            phase = spectrum[:, :, 0].angle() - spectrum[:, :, 1].angle()
            parts.append(torch.stack([level[:, :, 0] - level[:, :, 1], phase.cos(), phase.sin()], dim=2) @ averaging)
        return torch.cat(parts, dim=2).mT

    torch.testing.assert_close(
        composition(), ops.spatial_features(signals, directions, **options), rtol=1e-2, atol=2e-2
    )
    measure(benchmark, composition, rounds=5)


@pytest.mark.benchmark(group="features: log-mel of 128 signals")
class TestLogMel:
    signals = torch.randn(128, 1, SECOND)

    def test_kernel(self, benchmark: Any) -> None:
        measure(benchmark, lambda: ops.spatial_features(self.signals, view="mono", spatial=None))

    def test_torchaudio(self, benchmark: Any) -> None:
        mel = torchaudio.transforms.MelSpectrogram(
            24000, n_fft=512, hop_length=240, n_mels=64, center=False, norm="slaney", mel_scale="slaney"
        )
        measure(benchmark, lambda: mel(self.signals).clamp(min=1e-10).log())

    def test_rfft_alone(self, benchmark: Any) -> None:
        frames = self.signals.unfold(-1, 512, 240).contiguous()
        measure(benchmark, lambda: torch.fft.rfft(frames))
