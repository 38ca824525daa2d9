"""Each encoder as a torch.export program and an ONNX file, checked against the network that it came from."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # of the largest value of an embedding
BATCHES = (1, 3)  # sizes that a file is checked at; any other works too


def export_encoder(name: str, encoder: nn.Module, example: Tensor, folder: Path) -> dict[str, float]:
    """Writes NAME.pt2 and NAME.onnx for inputs like the example [1, ...], of any batch size.

    Returns each file's largest deviation from the encoder on random input, relative to the largest value. Raises
    RuntimeError where one exceeds TOLERANCE; then the files are not there.
    """
    inputs = torch.randn(2, *example.shape[1:])
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        program = torch.export.export(encoder, (inputs,), dynamic_shapes=shapes)
        pt2, onnx = folder / f".{name}.part.pt2", folder / f".{name}.part.onnx"
        torch.export.save(program, pt2)
        torch.onnx.export(
            program, (inputs,), onnx, input_names=["views"], output_names=["embeddings"], dynamo=True, verbose=False,
            external_data=False,
        )  # fmt: skip
    deviations = {}
    runs: dict[Path, Callable[[Tensor], Tensor]] = {pt2: _exported(pt2), onnx: _onnx(onnx)}
    try:
        for path, run in runs.items():
            worst = max(_deviation(encoder, run, example, size) for size in BATCHES)
            if not worst <= TOLERANCE:
                raise RuntimeError(f"{name}{path.suffix} differs from the encoder by {worst:.1e}")
            deviations[f"{name}{path.suffix}"] = worst
        for path in runs:
            os.replace(path, folder / f"{name}{path.suffix}")
    finally:
        for path in runs:
            path.unlink(missing_ok=True)
    return deviations


def _exported(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.export.load(path).module()


def _onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: torch.from_numpy(np.asarray(session.run(None, {name: inputs.numpy()})[0]))


@torch.inference_mode()
def _deviation(encoder: nn.Module, run: Callable[[Tensor], Tensor], example: Tensor, size: int) -> float:
    inputs = torch.randn(size, *example.shape[1:])
    wanted = encoder(inputs)
    return float((run(inputs) - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))
