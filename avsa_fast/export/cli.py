"""Options of `python -m avsa_fast.export`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.errors import UserError


def main(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    out: Annotated[Positional[Path], arg(metavar="OUT")],
) -> None:
    """Exports each encoder as a torch.export program and an ONNX file, and the network as a Hugging Face hub folder.

    OUT gets video_encoder.pt2 and .onnx, audio_encoder.pt2 and .onnx, model.safetensors, config.json and README.md.
    Every file is checked against the run's network. Needs the extra `export`: pip install 'avsa_fast[export]'.

    Args:
        run: Folder of a training run.
        out: Folder to write; new or empty.

    Raises:
        UserError: If the extra is not installed, the run cannot be read, or OUT is not empty or cannot be written.
    """
    try:
        from .folder import export_run
    except ImportError as error:
        raise UserError(f"{error}; pip install 'avsa_fast[export]' installs what export needs") from error
    export_run(run, out)
