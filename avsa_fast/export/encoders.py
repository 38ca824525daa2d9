"""Export of an encoder as a torch.export program and an ONNX file, verified against the original module."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avsa_fast.files import atomic_write
from avsa_fast.writing import library_file

TOLERANCE = 1e-4  # maximum deviation, relative to the largest absolute value of the embeddings
BATCHES = (1, 3)  # batch sizes that files are verified at; others work too


def export_encoder(name: str, encoder: nn.Module, example: Tensor, folder: Path) -> dict[str, float]:
    """Exports an encoder to NAME.pt2 and NAME.onnx with a dynamic batch size.

    Args:
        name: Name of the files, without suffix.
        encoder: Module to export.
        example: float32 [1, ...], an input of the encoder; only its shape is used.
        folder: Existing folder to write to.

    Returns:
        Maximum deviation of each file's output from the encoder's on random input, relative to the largest absolute
        value.

    Raises:
        RuntimeError: If a deviation exceeds TOLERANCE; no file is written then.
    """
    inputs = torch.randn(2, *example.shape[1:])
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    deviations = {}
    with atomic_write(folder / f"{name}.pt2") as pt2, atomic_write(folder / f"{name}.onnx") as onnx:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters' internal warnings
            program = torch.export.export(encoder, (inputs,), dynamic_shapes=shapes)
            with library_file(pt2) as file:
                torch.export.save(program, file)
            torch.onnx.export(
                program, (inputs,), onnx, input_names=["views"], output_names=["embeddings"], dynamo=True,
                verbose=False, external_data=False,
            )  # fmt: skip
        exported: dict[str, Callable[[Tensor], Tensor]] = {"pt2": _load_pt2(pt2), "onnx": _load_onnx(onnx)}
        for suffix, function in exported.items():
            worst = max(_deviation(encoder, function, example, size) for size in BATCHES)
            if not worst <= TOLERANCE:
                raise RuntimeError(f"{name}.{suffix} differs from the encoder by {worst:.1e}")
            deviations[f"{name}.{suffix}"] = worst
    return deviations


def _load_pt2(path: Path) -> Callable[[Tensor], Tensor]:
    """Loads a torch.export program."""
    with path.open("rb") as file:
        return torch.export.load(file).module()


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """Loads an ONNX file to run on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: torch.from_numpy(np.asarray(session.run(None, {name: inputs.numpy()})[0]))


@torch.inference_mode()
def _deviation(encoder: nn.Module, exported: Callable[[Tensor], Tensor], example: Tensor, size: int) -> float:
    """Maximum relative deviation of an exported encoder from the original on random input of a batch size."""
    inputs = torch.randn(size, *example.shape[1:])
    expected = encoder(inputs)
    return float((exported(inputs) - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
