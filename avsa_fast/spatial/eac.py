"""Equi-angular cubemaps in the layout of FFmpeg's v360 filter and YouTube.

3 x 2 faces: left, front, right above down, back, up, the lower three rotated so that each row of faces is one band
around the sphere. Each row of faces has 2 texels of padding at its top and bottom, the frame 2 at its left and right.
"""

from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

PADDING = 2.0  # texels of the luma plane
# Axes that a face's image shows: which component points right, down and forward, and with which sign.
FACES = (
    ((0, 1), (2, -1), (1, 1)),
    ((1, -1), (2, -1), (0, 1)),
    ((0, -1), (2, -1), (1, -1)),
    ((0, -1), (1, 1), (2, -1)),
    ((2, 1), (1, 1), (0, -1)),
    ((0, 1), (1, 1), (2, 1)),
)


class Geometry(NamedTuple):
    """A cubemap's plane."""

    H: int
    W: int
    first_column: float  # columns from the left edge to the first texel's centre
    texel_size: float  # resolution relative to the luma plane

    @property
    def padding(self) -> float:
        return PADDING * self.texel_size

    @property
    def face_width(self) -> float:
        return (self.W - 2 * self.padding) / 3

    @property
    def face_height(self) -> float:
        return self.H / 2 - 2 * self.padding


def face_of(ray: Tensor) -> Tensor:
    """Number of the face that rays [N, 3] intersect, in reading order: [N]."""
    x, y, z = ray.unbind(-1)
    by_x, by_y = (x.abs() >= y.abs()) & (x.abs() >= z.abs()), y.abs() >= z.abs()
    numbers = [torch.where(c > 0, a, b) for c, a, b in ((x, 1, 4), (y, 0, 2), (z, 5, 3))]
    return torch.where(by_x, numbers[0], torch.where(by_y, numbers[1], numbers[2]))


def on_face(face: Tensor, ray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Components right, down and forward of rays [N, 3] for their faces [N]."""
    axis = torch.tensor(FACES, device=ray.device)[face]  # [N, 3, 2]
    right, down, forward = (ray.gather(1, axis[..., 0]) * axis[..., 1]).unbind(-1)
    return right, down, forward


def project(face: Tensor, ray: Tensor, plane: Geometry) -> tuple[Tensor, Tensor]:
    """Column and row, as array indices, where rays [N, 3] intersect their faces [N]."""
    right, down, forward = on_face(face, ray)
    across, below = (torch.atan2(x, forward) * (2 / pi) + 0.5 for x in (right, down))
    left, top = (x.to(ray.dtype) for x in corner(face, plane))
    return left + plane.face_width * across, top + plane.face_height * below


def corner(face: Tensor, plane: Geometry) -> tuple[Tensor, Tensor]:
    """Column and row, as array indices, of the upper left corner of faces [N], float64."""
    left = plane.padding - plane.first_column + plane.face_width * (face % 3).double()
    return left, plane.padding - 0.5 + plane.H / 2 * (face >= 3).double()


def corners(ray: Tensor, plane: Geometry) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Row, column and weight of the four texels around rays [N, 3].

    Within half a texel of a face's edge it extrapolates from inside: the texels beyond belong to another face.
    """
    face = face_of(ray)
    u, v = project(face, ray, plane)
    left_edge, top_edge = (x.to(ray.dtype) for x in corner(face, plane))
    left, top = (
        x.floor().maximum(begin.ceil()).minimum((begin + length).floor() - 1)
        for x, begin, length in (
            (u.detach(), left_edge, plane.face_width),
            (v.detach(), top_edge, plane.face_height),
        )
    )
    fu, fv = u - left, v - top
    return [
        ((top + i).long(), (left + j).long(), (fv if i else 1 - fv) * (fu if j else 1 - fu))
        for i in (0, 1)
        for j in (0, 1)
    ]
