"""Footprints of pixels on an equirectangular frame, and the weights of texels in the mean over them.

A pixel's footprint is the parallelogram of its edges, mapped to the frame by the derivative of the projection. In the
mean of the bilinearly interpolated frame over the footprint, the weight of a texel is the integral of its tent function
(1 - |Δcolumn|) (1 - |Δrow|) over the footprint. Rows of texels and corners of the footprint cut it into pieces with
straight edges. One chord represents each piece; along the chord, the integral is exact. Derivation and accuracy:
docs/gnomonic.md.
"""

from collections.abc import Iterator
from math import pi, tan
from typing import NamedTuple

import torch
from torch import Tensor

from avsa_fast.spatial import eac

MARGIN = 0.02  # texels added on each side of a footprint, so that its area is never 0
MIN_RISE = 1e-6  # texels: minimum rise of the steeper edge
MIN_RISE_RATIO = 1e-3  # minimum rise of the other edge relative to it: below, float32 cannot place corners
# A footprint is nearly a parallelogram if the pixel is small relative to the sphere and to its distance from the pole.
# Other pixels are divided into cells, by an edge's length relative to the distance from the pole, and in radians.
CELLS_PER_POLE_DISTANCE, CELLS_PER_RADIAN, MAX_CELLS = 4.0, 8.0, 15
# The same for cubemaps: cells per texel, and a minimum; twice as many for pixels across the edge of a face, at which
# the image need not be continuous.
CUBEMAP_CELLS_PER_TEXEL, CUBEMAP_MIN_CELLS, CUBEMAP_MAX_CELLS = 1.5, 1.5, 63
MAX_TEXELS = 2**20  # weights computed at a time


class Geometry(NamedTuple):
    """An equirectangular plane."""

    H: int
    W: int
    first_column: float  # columns from the left edge to the first texel's centre


def project(ray: Tensor, plane: Geometry) -> tuple[Tensor, Tensor]:
    """Column and row, as array indices, where rays [..., 3] of any length intersect the plane."""
    x, y, z = ray.unbind(-1)
    u = (0.5 - torch.atan2(y, x) / (2 * pi)) * plane.W - plane.first_column
    v = (0.5 - torch.atan2(z, torch.hypot(x, y)) / pi) * plane.H - 0.5
    return u, v


def bilinear(u: Tensor, v: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Row, column and weight of the four texels around columns u and rows v [N]."""
    left, top = u.detach().floor(), v.detach().floor()
    fu, fv = u - left, v - top
    return [
        ((top + i).long(), (left + j).long(), (fv if i else 1 - fv) * (fu if j else 1 - fu))
        for i in (0, 1)
        for j in (0, 1)
    ]


def is_near_pole(ray: Tensor, plane: Geometry) -> Tensor:
    """Whether rays [N, 3] pass a pole within half a texel: bool [N]."""
    x, y, z = ray.detach().unbind(-1)
    return torch.hypot(x, y) < tan(_pole_distance(plane)) * z.abs()


def off_pole(ray: Tensor, plane: Geometry) -> Tensor:
    """Moves rays [N, 3] that are near a pole to half a texel from it, at their azimuth, and keeps their derivatives.

    There, the derivatives of the interpolated plane are taken: the plane depends on azimuth even at the pole, where
    they would be infinite.
    """
    x, y, z = ray.detach().unbind(-1)
    across, moved = torch.hypot(x, y), tan(_pole_distance(plane)) * z.abs()
    # The pole itself is moved to azimuth 0.
    horizontal = torch.where(
        (across > 0)[:, None],
        ray[:, :2] + (moved / across - 1)[:, None] * ray[:, :2].detach(),
        ray[:, :2] + torch.stack([moved, torch.zeros_like(moved)], dim=-1),
    )
    return torch.where(is_near_pole(ray, plane)[:, None], torch.cat([horizontal, ray[:, 2:]], dim=-1), ray)


def _pole_distance(plane: Geometry) -> float:
    """Half a texel in radians, a little less: at the centre of the first row, a derivative would have two values."""
    return (1 - 1e-6) * pi / (2 * plane.H)


def edge(ray: Tensor, step: Tensor, plane: Geometry) -> tuple[Tensor, Tensor]:
    """Derivative of the projection: columns and rows that a step of the ray moves it by."""
    x, y, z = ray.unbind(-1)
    dx, dy, dz = step.unbind(-1)
    across2 = (x * x + y * y).clamp(min=1e-20)
    across = across2.sqrt()
    azimuth = (x * dy - y * dx) / across2
    rise = (across * dz - z * (x * dx + y * dy) / across) / (across2 + z * z)
    return azimuth * (-plane.W / (2 * pi)), rise * (-plane.H / pi)


def cell_count(ray: Tensor, step: Tensor) -> Tensor:
    """Number of cells per edge of pixels, not rounded: [N]. ray, step: [N, 3]."""
    across2, step2 = ray[:, :2].square().sum(-1), step.square().sum(-1)
    by_pole = CELLS_PER_POLE_DISTANCE**2 / across2.clamp(min=1e-20)
    by_size = CELLS_PER_RADIAN**2 / ray.square().sum(-1)
    return (step2 * torch.maximum(by_pole, by_size)).sqrt().clamp(1, MAX_CELLS)


def cubemap_cell_count(ray: Tensor, step: Tensor, plane: eac.Geometry) -> Tensor:
    """Number of cells per edge of pixels on a cubemap, not rounded: [N]. ray, step: [N, 3]."""
    face = eac.face_of(ray)
    (right, down, forward), (d_right, d_down, d_forward) = eac.on_face(face, ray), eac.on_face(face, step)
    u = plane.face_width * (d_right * forward - right * d_forward) / (forward * forward + right * right)
    v = plane.face_height * (d_down * forward - down * d_forward) / (forward * forward + down * down)
    margin = forward - torch.maximum(right.abs(), down.abs())
    reach = d_forward.abs() + d_right.abs() + d_down.abs()
    across = (2 - 2 * margin / reach).clamp(0, 1)
    count = CUBEMAP_CELLS_PER_TEXEL * torch.hypot(u, v) * (2 / pi) + CUBEMAP_MIN_CELLS
    return (count * (1 + across)).clamp(max=CUBEMAP_MAX_CELLS)


def cells(count: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Divides an edge into `count` cells: the middle of each, within ±1/2, and its fraction of the edge.

    Cells of equal length lie symmetrically around the middle; the outermost are cut off where the edge ends, so that
    the mean over the edge changes continuously with their number.
    """
    half = int((count.detach() / 2 - 0.5).ceil().max()) if count.numel() else 0
    for k in range(-half, half + 1):
        sides = (count.new_tensor(k + d) for d in (-0.5, 0.5))
        first, last = (torch.minimum(torch.maximum(side, -count / 2), count / 2) for side in sides)
        yield (first + last) / (2 * count), (last - first) / count


class Footprints(NamedTuple):
    """Parallelograms around (u, v), each a tensor [N]."""

    u: Tensor
    v: Tensor
    lean: Tensor  # columns per row along the steeper edge
    rising: Tensor  # columns of the other edge, measured in a row: the part that rises to the right
    falling: Tensor  # and the part that rises to the left
    reach: Tensor  # half the rows of the steeper edge
    climb: Tensor  # rows of the other edge

    @property
    def tip(self) -> Tensor:
        return self.reach + self.climb / 2

    @property
    def half_height(self) -> Tensor:
        return self.tip + MARGIN

    def area(self) -> Tensor:
        return 2 * ((self.rising + self.falling) * self.reach + 2 * MARGIN * self.half_height)

    def ends(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Left and right end of the chord at rows [N, ...] from the centre, in columns from the centre."""
        lean, rising, falling, reach, climb, tip = (
            x.reshape(-1, *[1] * (row.ndim - 1))
            for x in (self.lean, self.rising, self.falling, self.reach, self.climb, self.tip)
        )
        row = torch.minimum(torch.maximum(row, -tip), tip)
        begin, end = (((row + d * reach) / climb).clamp(-0.5, 0.5) for d in (-1, 1))
        left, right = rising * begin - falling * end, rising * end - falling * begin
        return row * lean + left - MARGIN, row * lean + right + MARGIN


def footprints(ray: Tensor, right: Tensor, down: Tensor, plane: Geometry) -> Footprints:
    """Footprints of pixels or their cells, from rays through their centres and their edges, each [N, 3]."""
    (au, av), (bu, bv) = edge(ray, right, plane), edge(ray, down, plane)
    # Limited to one full rotation and to the height of the frame.
    narrow, low = (plane.W / (au.abs() + bu.abs())).clamp(max=1), (plane.H / (av.abs() + bv.abs())).clamp(max=1)
    au, bu, av, bv = au * narrow, bu * narrow, av * low, bv * low
    swap = bv.abs() > av.abs()
    au, av, bu, bv = (torch.where(swap, *pair) for pair in ((bu, au), (bv, av), (au, bu), (av, bv)))
    rise = av.abs().clamp(min=MIN_RISE)
    climb = torch.maximum(bv.abs(), MIN_RISE_RATIO * rise)
    lean = torch.where(av < 0, -au, au) / rise
    # A nearly level edge counts in part as rising and in part as falling, so that the result is continuous there.
    width = bu - lean * bv
    signed = width * (bv / climb).clamp(-1, 1)
    rising, falling = (width.abs() + signed) / 2, (width.abs() - signed) / 2
    return Footprints(*project(ray, plane), lean, rising, falling, rise / 2, climb)


class Texels(NamedTuple):
    """Texels of M pixels, R rows and C columns each."""

    pixel: Tensor  # [M]
    row: Tensor  # [M, R, 1], within [-H, 2 H)
    column: Tensor  # [M, R, C], any integer
    weight: Tensor  # [M, R, C], over its cells, those of a pixel add up to 1 within rounding


def texels(pixels: tuple[Tensor, ...], plane: Geometry, *, off_poles: bool) -> Iterator[Texels]:
    """The texels under pixels: rays through their centres and their steps of one pixel right and down, each [N, 3].

    off_poles: for derivatives, cells that are near a pole are interpolated.
    """
    ray, right, down = pixels
    count = cell_count(ray, right)
    for t, fraction_t in cells(count):
        for s, fraction_s in cells(count):
            n = (fraction_s * fraction_t).nonzero()[:, 0]
            if len(n):
                middle = ray[n] + s[n, None] * right[n] + t[n, None] * down[n]
                fraction = (fraction_s * fraction_t)[n]
                if off_poles:
                    near = is_near_pole(middle, plane)
                    yield from _pole_texels(n[near], middle[near], fraction[near], plane)
                    n, middle, fraction = n[~near], middle[~near], fraction[~near]
                    if not len(n):
                        continue
                prints = footprints(middle, right[n] * fraction_s[n, None], down[n] * fraction_t[n, None], plane)
                yield from _cell_texels(n, prints, fraction / prints.area())


def _pole_texels(n: Tensor, ray: Tensor, fraction: Tensor, plane: Geometry) -> Iterator[Texels]:
    """Texels around rays [N, 3] near a pole, with the values there and the derivatives off_pole."""
    for row, column, weight in bilinear(*project(ray.detach(), plane)):
        yield Texels(n, row[:, None, None], column[:, None, None], (fraction * weight)[:, None, None])
    for row, column, weight in bilinear(*project(off_pole(ray, plane), plane)):
        slope = fraction.detach() * (weight - weight.detach())
        yield Texels(n, row[:, None, None], column[:, None, None], slope[:, None, None])


def _cell_texels(n: Tensor, prints: Footprints, scale: Tensor) -> Iterator[Texels]:
    """Texels under one cell of each pixel n [N]."""
    with torch.no_grad():
        top = (prints.v - prints.half_height - 1).ceil()
        rows = int(((prints.v + prints.half_height + 1).floor() - top).max()) + 1
        row = top[:, None] + torch.arange(rows).to(top)  # [N, R]
        left, right, reach, mass = _chords(prints, row)
        begin = (prints.u + torch.where(mass > 0, left - reach, torch.inf).amin((1, 2))).floor() + 1
        end = (prints.u + torch.where(mass > 0, right + reach, -torch.inf).amax((1, 2))).ceil()
        columns = (end - begin).long()
        order = columns.argsort()
    while len(order):
        fits = (columns[order] * rows * torch.arange(1, len(order) + 1).to(order) <= MAX_TEXELS).sum().clamp(min=1)
        m, order = order[:fits], order[fits:]
        column = begin[m, None] + torch.arange(int(columns[m].max())).to(top)  # [M, C]
        part = Footprints(*(x[m] for x in prints))
        left, right, reach, mass = (x[..., None] for x in _chords(part, row[m]))  # [M, 6, R, 1]
        x = (column - part.u[:, None])[:, None, None]  # [M, 1, 1, C]
        weight = (mass * (_tent((right - x) / reach) - _tent((left - x) / reach))).sum(1)
        weight = weight * scale[m, None, None]
        yield Texels(n[m], row[m].long()[..., None], column.long()[:, None].expand_as(weight), weight)


def _chords(prints: Footprints, row: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The chords of each row [N, R], three above and three below it: left, right, reach and mass, each [N, 6, R].

    The corners of the footprint cut the interval between two rows into pieces with straight edges, one chord for each.
    """
    side = row.new_tensor([-1.0, 1.0])[:, None]  # [2, 1]
    away = (row - prints.v[:, None])[:, None]  # [N, 1, R] rows from the centre
    half, corner = prints.half_height[:, None, None], (prints.reach - prints.climb / 2)[:, None, None]
    near, last = (-half - side * away).clamp(0, 1), (half - side * away).clamp(0, 1)
    corners = (torch.minimum(torch.maximum(d * corner - side * away, near), last) for d in (-1, 1))
    chords = []
    at_near = prints.ends(away + side * near)
    for far in (*corners, last):
        at_far = prints.ends(away + side * far)
        # Interpolation gives a piece the row's weight 1 - distance: its mean, and the centre of mass, as a part of it.
        thick, close = far - near, 1 - (near + far) / 2
        part = 0.5 - thick / (12 * close.clamp(min=1e-6))
        left, right = (there - here for here, there in zip(at_near, at_far, strict=True))
        reach = (1 + (left.square() + right.square()) / 6).sqrt()
        chords.append((at_near[0] + part * left, at_near[1] + part * right, reach, thick * close))
        near, at_near = far, at_far
    left, right, reach, mass = (torch.cat(same, dim=1) for same in zip(*chords, strict=True))
    return left, right, reach, mass


def _tent(c: Tensor) -> Tensor:
    """Integral of the tent 1 - |c| from 0."""
    c = c.clamp(-1, 1)
    return c * (1 - c.abs() / 2)
