"""Whether a run can be resumed from a checkpoint."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from avsa_fast.bounds import shortened
from avsa_fast.config import Config
from avsa_fast.errors import UserError

from .state import State


def check_resumed(run: Path, config: Config, state: State, total_steps: int) -> None:
    """Checks that a checkpoint belongs to a configuration.

    Args:
        run: Folder of the run.
        config: Configuration of the run.
        state: State of the checkpoint.
        total_steps: Steps of the run.

    Raises:
        UserError: The checkpoint was trained with another configuration, or for more steps.
    """
    ours, theirs = flattened(stated(config)), flattened(state.config)
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"{run / 'config.yaml'}: {key} is {shortened(ours.get(key))}, but the run was trained with "
                f"{shortened(theirs.get(key))}: restore it to resume, or start another run"
            )
    if state.step > total_steps:
        raise UserError(f"{run}: its checkpoint is of step {state.step}, of {total_steps} steps")


def stated(config: Config) -> dict[str, Any]:
    """Returns a configuration without the dataset's folder, which may move.

    Args:
        config: The configuration.
    """
    return asdict(replace(config, data=""))


def flattened(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of nested dictionaries by the keys to them, joined by points.

    Args:
        config: The dictionaries.
        prefix: What precedes the keys.
    """
    values: dict[str, Any] = {}
    for key, value in config.items():
        values |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return values
