"""Audio-visual similarity maps over the ERP frame.

agreement = similarity_map(run, frames, sound)                        # [H, W]: where do picture and sound agree?
one_object = similarity_map(run, frames, sound, towards=direction)    # [H, W]: where is the sound of this object?
"""

from collections.abc import Callable
from itertools import product
from math import pi, radians
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avsa_fast.data.projection import Projection
from avsa_fast.data.samples import Sample
from avsa_fast.run import Run

from .grid import erp_grid, resize_map

# 10 degrees per cell. The width is a multiple of 4, so that a cell rotated by 90 degrees is a cell too.
SIZE = (18, 36)
VIEWS = 4  # views per group, spaced by 90 degrees in azimuth, as the AVSA transformers expect
CHUNK = 32  # groups encoded at once, which bounds memory
# The search for maxima: the views of a coarse grid, then those of the grid SIZE in the cells of the highest maxima.
COARSE = (6, 12)
STEP = SIZE[0] // COARSE[0]  # fine cells per coarse one along each axis
MAXIMA = 2


def similarity_map(
    run: Run, frames: Tensor, sound: Tensor, *, towards: Tensor | None = None, projection: Projection = "erp",
    size: tuple[int, int] = SIZE,
) -> Tensor:  # fmt: skip
    """Computes the audio-visual similarity for every direction of the ERP frame.

    Args:
        run: Trained run.
        frames: uint8 [F, H', W', 3], RGB.
        sound: float32 [4, T], 1 s at 24 kHz around the same moment; W, Y, Z, X (ACN, SN3D).
        towards: None compares the crop and the sound view of each direction. A direction [2] (azimuth, elevation in
            radians) compares the crop there with the sound view of each direction, so that the maximum is the
            estimated direction of that object's sound.
        projection: Projection of the frames.
        size: H and W of the map; W must be a multiple of 4.

    Returns:
        float32 [H, W], cosine similarities in [-1, 1].

    Raises:
        ValueError: If W is not a multiple of 4.
    """
    if towards is not None:
        return object_maps(run, frames, sound, towards[None], projection=projection, grid=erp_grid(size))[0]
    groups = _group_by_quarter_turns(erp_grid(size))  # [H * W / 4, 4, 2]
    audio = _embed_groups(run.audio, frames, projection, sound, groups, run)
    video = _embed_groups(run.video, frames, projection, sound, groups, run)
    rows = torch.cat([run.similarity(video[i : i + 1], audio[i : i + 1])[0] for i in range(len(groups))])
    return _ungroup(rows, size)


def object_maps(
    run: Run, frames: Tensor, sound: Tensor, directions: Tensor, *, projection: Projection = "erp",
    grid: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Computes similarity maps of n objects: `similarity_map` with `towards` set to each direction.

    Args:
        run: Trained run.
        frames: uint8 [F, H', W', 3], RGB.
        sound: float32 [4, T], 1 s at 24 kHz around the same moment; W, Y, Z, X (ACN, SN3D).
        directions: [n, 2], azimuth and elevation of the objects in radians.
        projection: Projection of the frames.
        grid: [H, W, 2], azimuth and elevation of the cells in radians: rows of equal elevation, each with W evenly
            spaced azimuths from left to right, W a multiple of 4. None: `erp_grid(SIZE)`.

    Returns:
        float32 [n, H, W], cosine similarities in [-1, 1].

    Raises:
        ValueError: If W is not a multiple of 4.
    """
    grid = erp_grid(SIZE) if grid is None else grid
    audio = _embed_groups(run.audio, frames, projection, sound, _group_by_quarter_turns(grid), run)
    crops = directions[:, None].expand(-1, VIEWS, -1).clone()
    crops[..., 0] += torch.arange(VIEWS) * (2 * pi / VIEWS)
    video = _embed_groups(run.video, frames, projection, sound, crops, run)  # [n, 4, E]; view 0 shows the object
    size = (grid.shape[0], grid.shape[1])
    return torch.stack([_ungroup(rows, size) for rows in _object_values(run, video, audio)])


class Search(NamedTuple):
    """Result of `search_maps`.

    Attributes:
        maps: float32 [n, *SIZE], cosine similarities of each object's crop to the sound views.
        scores: float32 [n], similarity of each object's crop to the sound view in its own direction.
    """

    maps: Tensor
    scores: Tensor


def search_maps(
    run: Run, frames: Tensor, sound: Tensor, directions: Tensor, *, projection: Projection = "erp"
) -> Search:
    """Computes similarity maps of n objects like `object_maps`, of fewer sound views.

    All sound views share one transform of the sound. Those of the grid COARSE are embedded first, for all objects, and
    then those of the grid SIZE in the cells of the MAXIMA highest maxima; elsewhere, the maps are interpolated.

    Args:
        run: Trained run.
        frames: uint8 [F, H', W', 3], RGB.
        sound: float32 [4, T], as for `object_maps`.
        directions: [n, 2], azimuth and elevation of the objects in radians; n >= 1.
        projection: Projection of the frames.

    Returns:
        The maps, and how well each object's crop agrees with the sound from its direction.
    """
    crops = directions[:, None].expand(-1, VIEWS, -1).clone()
    crops[..., 0] += torch.arange(VIEWS) * (2 * pi / VIEWS)
    video = _embed_groups(run.video, frames, projection, sound, crops, run)
    groups = torch.cat([_group_by_quarter_turns(erp_grid(COARSE)), crops])
    audio = _embed_groups(run.audio, frames, projection, sound, groups, run)
    scores = run.similarity(video, audio[-len(crops) :])[..., 0].diagonal().float().cpu()
    coarse = torch.stack([_ungroup(rows, COARSE) for rows in _object_values(run, video, audio[: -len(crops)])])
    maps = resize_map(coarse, SIZE)
    columns = SIZE[1] // VIEWS
    numbers = torch.tensor([row * columns + column for row, column in _refined_groups(coarse)])
    near = _embed_groups(run.audio, frames, projection, sound, _group_by_quarter_turns(erp_grid(SIZE))[numbers], run)
    values = _object_values(run, video, near).float().cpu()
    for view in range(VIEWS):  # a group's view 0 is in the last quarter of the columns
        maps[:, numbers // columns, (VIEWS - 1 - view) * columns + numbers % columns] = values[..., view]
    return Search(maps, scores)


def _refined_groups(coarse: Tensor) -> list[tuple[int, int]]:
    """Rows and first columns of the groups of SIZE in the cells with the highest maxima of maps [n, *COARSE]."""
    best = {int(heat.argmax()): float(heat.max()) for heat in coarse}
    groups: dict[tuple[int, int], None] = {}
    for cell in sorted(best, key=lambda cell: -best[cell])[:MAXIMA]:
        row, column = divmod(cell, COARSE[1])
        inside = product(range(STEP * row, STEP * (row + 1)), range(STEP * column, STEP * (column + 1)))
        groups |= dict.fromkeys((r, c % (SIZE[1] // VIEWS)) for r, c in inside)
    return list(groups)


def _object_values(run: Run, video: Tensor, audio: Tensor) -> Tensor:
    """Similarities [n, G, 4] of n objects' crops (view 0 of [n, 4, E]) to the sound views of groups [G, 4, E]."""
    # Rolling a group's 4 sound views brings each of them to position 0, where it is compared with the object's crop.
    maps = [run.similarity(video, audio.roll(-shift, dims=1))[..., 0] for shift in range(VIEWS)]
    return torch.stack(maps, dim=-1)


def _group_by_quarter_turns(grid: Tensor) -> Tensor:
    """[H, W, 2] -> [H * W / 4, 4, 2]: groups of 4 directions in counter-clockwise steps of 90°."""
    height, width, _ = grid.shape
    if width % VIEWS:
        raise ValueError(f"size {(height, width)}: the width must be a multiple of {VIEWS}")
    columns = grid.reshape(height, VIEWS, width // VIEWS, 2).flip(1)
    return columns.transpose(1, 2).reshape(-1, VIEWS, 2)


def _ungroup(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Inverse of `_group_by_quarter_turns`: [H * W / 4, 4] -> [H, W]."""
    height, width = size
    return values.reshape(height, width // VIEWS, VIEWS).transpose(1, 2).flip(1).reshape(size).float().cpu()


def _embed_groups(
    encode: Callable[[list[Sample]], Tensor], frames: Tensor, projection: Projection, sound: Tensor, groups: Tensor,
    run: Run,
) -> Tensor:  # fmt: skip
    """Embeddings [G, 4, E] of one moment's views in directions [G, 4, 2], computed CHUNK groups at a time."""
    parts = []
    for chunk in groups.split(CHUNK):
        directions = chunk.flatten(0, 1)
        sample = Sample(
            name="", projection=projection, frames=frames, sound=sound, directions=directions.numpy(),
            fov=np.full(len(directions), radians(run.config.samples.held_out_fov), np.float32),
            flip=np.zeros(len(directions), bool), jitter=None, failures={},
        )  # fmt: skip
        parts.append(encode([sample])[0].unflatten(0, chunk.shape[:2]))
    return torch.cat(parts)
