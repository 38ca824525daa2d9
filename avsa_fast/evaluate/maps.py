"""Maps over the ERP frame: where sight and sound agree, and where an object's sound comes from.

seen_and_heard = similarity_map(run, frames, sound)                        # [H, W]
of_one_object = similarity_map(run, frames, sound, towards=direction)      # [H, W]
"""

from collections.abc import Callable
from math import pi, radians

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.samples import Sample

from .run import Run

# 10 degrees a cell. The number of columns is a multiple of 4: a cell's quarter turns are cells too.
SIZE = (18, 36)
TURNS = 4
CHUNK = 32  # groups of 4 views in memory at a time


def erp_grid(size: tuple[int, int]) -> Tensor:
    """Directions of the pixel centres of an ERP frame of size (H, W): [H, W, 2] float32, radians."""
    height, width = size
    azimuth = (0.5 - (torch.arange(width) + 0.5) / width) * 2 * pi
    elevation = (0.5 - (torch.arange(height) + 0.5) / height) * pi
    return torch.stack(torch.meshgrid(elevation, azimuth, indexing="ij")[::-1], dim=-1)


def similarity_map(
    run: Run, frames: Tensor, sound: Tensor, *, towards: Tensor | None = None, size: tuple[int, int] = SIZE
) -> Tensor:
    """How well sight and sound agree, over the ERP frame: float32 [H, W], cosines in [-1, 1].

    frames: uint8 [F, H', W', 3], ERP. sound: float32 [4, T], 1 s at 24 kHz around the same moment, W Y Z X.
    towards: None compares what is seen in each direction with what is heard there; a direction [2] compares what is
    seen in that one direction with what is heard in each, so that the maximum is where that object's sound comes from.
    Views come in quarter turns, 4 at a time, as the AVSA transformers expect. W must be a multiple of 4.
    """
    groups = _quarter_turns(erp_grid(size))  # [H * W / 4, 4, 2]
    heard = _in_chunks(run.audio, frames, sound, groups, run)
    if towards is None:
        seen = _in_chunks(run.video, frames, sound, groups, run)
        agreement = torch.cat([run.similarity(seen[i : i + 1], heard[i : i + 1])[0] for i in range(len(groups))])
        return _ungrouped(agreement, size)
    return object_maps(run, frames, sound, towards[None], size=size, heard=heard)[0]


def object_maps(
    run: Run, frames: Tensor, sound: Tensor, directions: Tensor, *, size: tuple[int, int] = SIZE,
    heard: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where the sound of each of n objects comes from: [n, H, W], as `similarity_map` towards each direction [n, 2].

    heard: the audio embeddings of all quarter turns [H * W / 4, 4, E], where they are known already.
    """
    if heard is None:
        heard = _in_chunks(run.audio, frames, sound, _quarter_turns(erp_grid(size)), run)
    turns = torch.arange(TURNS) * (2 * pi / TURNS)
    looks = directions[:, None].expand(-1, TURNS, -1).clone()
    looks[..., 0] += turns
    seen = _in_chunks(run.video, frames, sound, looks, run)  # [n, 4, E]; the object is in view 0
    # Each of a group's 4 sound views is compared with view 0: the group's views are turned round, one at a time.
    maps = [run.similarity(seen, heard.roll(-turn, dims=1))[..., 0] for turn in range(TURNS)]
    return torch.stack([_ungrouped(rows, size) for rows in torch.stack(maps, dim=-1)])


def _quarter_turns(grid: Tensor) -> Tensor:
    """[H, W, 2] -> [H * W / 4, 4, 2]: each direction with its quarter turns, counter-clockwise."""
    height, width, _ = grid.shape
    if width % TURNS:
        raise ValueError(f"size {(height, width)}: the width must be a multiple of {TURNS}")
    columns = grid.reshape(height, TURNS, width // TURNS, 2).flip(1)
    return columns.transpose(1, 2).reshape(-1, TURNS, 2)


def _ungrouped(values: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of _quarter_turns: [H * W / 4, 4] -> [H, W]."""
    height, width = size
    return values.reshape(height, width // TURNS, TURNS).transpose(1, 2).flip(1).reshape(size).float().cpu()


def _in_chunks(
    encode: Callable[[list[Sample]], Tensor], frames: Tensor, sound: Tensor, groups: Tensor, run: Run
) -> Tensor:
    """Embeddings [G, 4, E] of one moment's views in groups of directions [G, 4, 2]."""
    parts = []
    for chunk in groups.split(CHUNK):
        directions = chunk.flatten(0, 1)
        sample = Sample(
            name="", projection="erp", frames=frames, sound=sound, directions=directions.numpy(),
            fov=np.full(len(directions), radians(run.config.samples.held_out_fov), np.float32),
            flip=np.zeros(len(directions), bool), jitter=None, failures={},
        )  # fmt: skip
        parts.append(encode([sample])[0].unflatten(0, chunk.shape[:2]))
    return torch.cat(parts)
