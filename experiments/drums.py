"""Linear probe on real labelled sounds: single drum hits of Debian's hydrogen-drumkits, tested on unseen kits.

    apt-get download hydrogen-drumkits && dpkg -x hydrogen-drumkits_*.deb kits
    pip install --no-deps aisfx==0.1.2          # the pretrained peer, MIT licence, weights in the wheel
    python experiments/drums.py RUN --kits kits --out drums

Peers: the mean and standard deviation of log-mel bands, the same network untrained, and aisfx (Ma and Lerch, ISMIR
2022), a CNN trained with labels on sound effect libraries. All get the first second of each hit, in mono.
"""

import csv
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torchaudio.functional import melscale_fbanks, resample
from tyro.conf import Positional

from avsa_fast import ops
from avsa_fast.command import run_command
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cases import write_scores
from avsa_fast.evaluate.datasets import LOADERS, Labelled
from avsa_fast.evaluate.downstream import FloatArray, embed_items, probe
from avsa_fast.evaluate.metrics import format_metric
from avsa_fast.models import Model
from avsa_fast.run import load_run, run_from_model

# A file's class is the first one whose pattern matches its name.
CLASSES = {
    "hihat": r"hi-?hat|hat|hh|^ho_",
    "clap": r"clap",
    "snare": r"snare|^sn|_sn_|^sd",
    "rim": r"rim|stick",
    "tom": r"tom|^ft_",
    "cymbal": r"crash|ride|china|splash|cym|^cra_|^cc_",
    "kick": r"kick|bass-?drum|^bd|_bd_",
}
FOLDS, RATE = 4, 44100


def main(run: Positional[Path], kits: Path, out: Path, seed: int = 0) -> None:
    """Builds an ESC-50-style dataset of one second of each hit, probes it, and writes OUT/drums.json.

    Args:
        run: Folder of a training run.
        kits: Folder where the package was unpacked.
        out: Folder of the dataset and the results.
        seed: Seed of the shuffled labels and the untrained network.
    """
    if not (out / "meta" / "drums.csv").exists():
        _build(kits, out)
    data = LOADERS["esc50"](out)
    counts = {label: sum(item.label == label for fold in data.folds for item in fold.test) for label in data.classes}
    print(f"{sum(counts.values())} hits: {counts}")
    trained = load_run(run)
    torch.manual_seed(seed)
    untrained = run_from_model(run, trained.config, Model(trained.config.model), trained.device)
    features: dict[str, dict[str, FloatArray]] = {
        "log_mel_statistics": _features(data, _log_mel),
        "untrained": embed_items(untrained, data, "audio"),
        "trained": embed_items(trained, data, "audio"),
    }
    if find_spec("aisfx") is not None:
        features["aisfx"] = _features(data, _aisfx())
    scores = {}
    for name, rows in features.items():
        for key, cases in probe(data, rows, "linear", seed=seed).items():
            if "video" in key:
                scores[f"{name}_{key.removeprefix('linear_video_at_1').strip('_') or 'accuracy'}"] = cases
    for name, metric in write_scores(out, "drums", scores).items():
        print(format_metric(name, metric))


def _build(kits: Path, out: Path) -> None:
    """Writes audio/NUMBER.wav and meta/drums.csv; each kit is in one fold, and folds are balanced by size."""
    hits = []
    for path in sorted([*kits.rglob("*.flac"), *kits.rglob("*.wav")]):
        label = next((name for name, pattern in CLASSES.items() if re.search(pattern, path.stem.lower())), None)
        if label is not None:
            hits.append((path, label, path.parent.name))
    if not hits:
        raise UserError(f"--kits {kits}: no drum hits in it")
    sizes: dict[str, int] = {}
    for _, _, kit in hits:
        sizes[kit] = sizes.get(kit, 0) + 1
    folds, fold_sizes = {}, [0] * FOLDS
    for kit in sorted(sizes, key=lambda kit: (-sizes[kit], kit)):
        folds[kit] = int(np.argmin(fold_sizes))
        fold_sizes[folds[kit]] += sizes[kit]
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rows = [["filename", "fold", "category", "src_file"]]
    for number, (path, label, kit) in enumerate(hits):
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        sound = resample(torch.from_numpy(sound.mean(axis=1)), rate, RATE)[:RATE]
        if sound.abs().max() > 1e-3:
            name = f"{number:04d}.wav"
            soundfile.write(out / "audio" / name, torch.nn.functional.pad(sound, (0, RATE - len(sound))), RATE)
            rows.append([name, str(folds[kit]), label, kit])
    (out / "meta").mkdir(exist_ok=True)
    with (out / "meta" / "drums.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _features(data: Labelled, function: Callable[[torch.Tensor], FloatArray]) -> dict[str, FloatArray]:
    """Computes features [1, D] of each item's sound, by item name; `function` maps a sound [T] at RATE to [D]."""
    return {
        item.name: function(torch.from_numpy(soundfile.read(item.audio, dtype="float32")[0]))[None]
        for fold in data.folds
        for item in fold.test
    }


def _log_mel(sound: torch.Tensor) -> FloatArray:
    """Computes mean and standard deviation over time of 64 log-mel bands, as the audio encoder gets them: [128]."""
    scene = torch.zeros(4, 24000)
    scene[0] = resample(sound, RATE, 24000)
    bands = ops.spatial_features(scene, view="mono", spatial=None)[0]  # [64, 98]
    statistics: FloatArray = torch.cat([bands.mean(dim=1), bands.std(dim=1)]).numpy()
    return statistics


def _aisfx() -> Callable[[torch.Tensor], FloatArray]:
    """Returns aisfx's embedding function, [T] -> [512]; its essentia spectrogram is reimplemented in torch."""
    import aisfx.inference
    from aisfx.models.cnn2d import EmbeddingNet

    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    # The file has NumPy numbers (class counts); weights_only runs no code from it.
    numbers: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with torch.serialization.safe_globals(numbers):
        weights, _ = torch.load(aisfx.inference.get_path_modelWeights(), map_location="cpu", weights_only=True)
    network = EmbeddingNet("max", 3, 1, 64).eval()
    prefix = "embedding_net."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
    bank = melscale_fbanks(1025, 0.0, 22050.0, 96, RATE, norm=None, mel_scale="htk")
    bank = bank / bank.sum(dim=0).clamp(min=1e-9)
    window = torch.hann_window(2048)

    @torch.inference_mode()
    def embed(sound: torch.Tensor) -> FloatArray:
        padded = torch.nn.functional.pad(sound / sound.abs().max().clamp(min=1e-6), (0, 100 * 1024 - len(sound)))
        power = torch.stft(padded, 2048, 1024, window=window, return_complex=True).abs().square()
        mel = torch.log10(power.T[:100] @ bank * 10000 + 1) / 9.457798957824707
        embedding: FloatArray = network(mel[None])[0].numpy()
        return embedding

    return embed


if __name__ == "__main__":
    run_command(main, "drums", "python experiments/drums.py")
