// A pixel's footprint on an ERP plane, and the weight of each texel in the mean of the bilinearly interpolated plane
// over the footprint. docs/gnomonic.md defines it, avsa_fast/reference/footprint.py is the same in PyTorch. Used by
// texels.h (device, gradients) and by cpu/weights.h; S as in geometry.h.
#pragma once
#include <cmath>

#include "gnomonic/geometry.h"

namespace avsa::gnomonic {

// Cells. A footprint is approximated by a parallelogram, which is accurate if the pixel is small relative to its
// distance from the pole and to the sphere; other pixels are split into cells for which it is. Along each axis the
// number of cells is real: those at both ends are cut off, so that the mean over a pixel is continuous in it.
template <class S>
struct Cell {
  S centre, size;  // in pixels: centre within ±1/2 of the pixel's; the sizes of all cells sum to 1

  // Cell `index` of `count`; 0 is the central one.
  AVSA_HD Cell(const S& count, int index) {
    const S end = count * S(0.5), first = clamp(S(index - 0.5), -end, end), last = clamp(S(index + 0.5), -end, end);
    centre = (first + last) / (S(2) * count);
    size = (last - first) / count;
  }
};

// The number of cells on each side of the central one.
AVSA_HD int cell_radius(double count) { return int(std::ceil(0.5 * count - 0.5)); }

// Chosen by PSNR on zone plates.
constexpr double kErpCellsPerPoleDistance = 4, kErpCellsPerRadian = 8, kMaxErpCells = 15;

// The number of cells along each axis of a pixel on an ERP plane.
template <class S>
AVSA_HD S erp_cells(const Vec3<S>& ray, const Vec3<S>& step) {
  using std::sqrt;
  const S horizontal2 = ray.x * ray.x + ray.y * ray.y, step2 = dot(step, step);
  const S by_pole = S(kErpCellsPerPoleDistance * kErpCellsPerPoleDistance) / max(horizontal2, S(1e-20));
  const S by_size = S(kErpCellsPerRadian * kErpCellsPerRadian) / (horizontal2 + ray.z * ray.z);
  return clamp(sqrt(step2 * max(by_pole, by_size)), S(1), S(kMaxErpCells));
}

// On an EAC plane, which is sampled at the centres of cells.
constexpr double kEacCellsPerTexel = 1.5, kExtraEacCells = 1.5, kMaxEacCells = 63;

// The number of cells along the axis `step` of a pixel on an EAC plane: twice as many if the pixel lies across the edge
// of a face, where the image need not be continuous.
template <class S>
AVSA_HD S eac_cells(const Vec3<S>& ray, const Vec3<S>& step, const Plane& plane) {
  using std::sqrt, std::fabs;
  const Point<S> edge = eac_edge(ray, step, plane);
  const int face = eac_face(ray);
  const FaceRay<S> r = on_face(face, ray), d = on_face(face, step);
  const S distance = r.forward - max(fabs(r.right), fabs(r.down));
  const S reach = fabs(d.forward) + fabs(d.right) + fabs(d.down);
  const S across = clamp(S(2) - S(2) * distance / reach, S(0), S(1));
  const S cells = S(kEacCellsPerTexel) * sqrt(edge.u * edge.u + edge.v * edge.v) + S(kExtraEacCells);
  return min(cells * (S(1) + across), S(kMaxEacCells));
}

constexpr double kMargin = 0.02;          // texels added on each side of a footprint: its area may not be 0
constexpr double kMinHeight = 1e-6;       // rows: the least height of the steeper edge
constexpr double kMinHeightRatio = 1e-3;  // of the other edge to the steeper one; less is too little for float32

// The part of a footprint between two rows of texels is cut at the footprint's corners, so that its edges are straight.
constexpr int kPieces = 3;

// Integral of the tent function 1 - |c| from left to right.
template <class S>
AVSA_HD S tent_integral(const S& left, const S& right) {
  using std::fabs;
  const S from = clamp(left, S(-1), S(1)), to = clamp(right, S(-1), S(1));
  return (to - from) - S(0.5) * (to * fabs(to) - from * fabs(from));
}

// What one piece of a footprint adds to the weights of a row of texels: an interval of columns whose ends are softened
// by the tent of bilinear interpolation, and further by the slant of the footprint's edges.
template <class S>
struct Chord {
  S left, right;                     // columns, from the footprint's centre
  S half_width, inverse_half_width;  // of the tent at the ends
  S mass;                            // weight per texel of its length

  // Extends an interval of columns to all that the chord weights.
  AVSA_HD void extend(S& begin, S& end) const {
    begin = select(mass > S(0), min(left - half_width, begin), begin);
    end = select(mass > S(0), max(right + half_width, end), end);
  }

  // The weight of a texel at column x from the footprint's centre.
  AVSA_HD S weight(const S& x) const {
    return mass * tent_integral((left - x) * inverse_half_width, (right - x) * inverse_half_width);
  }
};

// A parallelogram. Rows and columns are relative to its centre; its steeper edge is the one that spans more rows.
template <class S>
struct Footprint {
  S outer_corner, inner_corner;  // rows of the corners, mirrored about the centre
  S half_height;                 // rows from the centre to the end, margin included
  S columns_per_row;             // along the steeper edge
  S rising, falling;             // columns of the other edge within a row, by the direction in which it rises
  S half_steep, inverse_flat;    // half the rows of the steeper edge; 1 / the rows of the other one

  // first, second: the edges.
  AVSA_HD void set(const Point<S>& first, const Point<S>& second, const Plane& plane) {
    using std::fabs;
    // At most one revolution wide and as high as the plane.
    const S width = fabs(first.u) + fabs(second.u), height = fabs(first.v) + fabs(second.v);
    const S scale_u = min(S(plane.W) / max(width, S(1)), S(1)), scale_v = min(S(plane.H) / max(height, S(1)), S(1));
    const auto swap = fabs(second.v) > fabs(first.v);
    const S au = select(swap, second.u, first.u) * scale_u, av = select(swap, second.v, first.v) * scale_v;
    const S bu = select(swap, first.u, second.u) * scale_u, bv = select(swap, first.v, second.v) * scale_v;
    const S steep = max(fabs(av), S(kMinHeight)), flat = max(fabs(bv), S(kMinHeightRatio) * steep);
    columns_per_row = select(av < S(0), -au, au) / steep;
    // An edge that is almost level counts as rising in part and as falling in part, for continuity.
    const S across = bu - columns_per_row * bv, signed_across = across * clamp(bv / flat, S(-1), S(1));
    rising = S(0.5) * (fabs(across) + signed_across);
    falling = S(0.5) * (fabs(across) - signed_across);
    half_steep = S(0.5) * steep;
    inverse_flat = S(1) / flat;
    outer_corner = S(0.5) * (steep + flat);
    inner_corner = S(0.5) * (steep - flat);
    half_height = outer_corner + S(kMargin);
  }

  // The sum of all weights, up to their sampling at texels.
  AVSA_HD S area() const { return S(2) * ((rising + falling) * half_steep + S(2 * kMargin) * half_height); }

  // An upper bound of a texel's weight.
  AVSA_HD S max_weight() const { return min(rising + falling + S(2 * kMargin), S(1)) * min(S(2) * half_height, S(1)); }

  struct Ends {
    S left, right;
  };

  // The part of a footprint between a row of texels and the next: piece n lies from row cut[n] to cut[n + 1], measured
  // from the upper row, with its ends there. Pieces outside the footprint are empty.
  struct Interval {
    S cut[kPieces + 1];
    Ends ends[kPieces + 1];
  };

  // row: of the upper row of texels.
  AVSA_HD Interval interval(const S& row) const {
    const S begin = clamp(-half_height - row, S(0), S(1)), end = clamp(half_height - row, S(0), S(1));
    const S first = clamp(-inner_corner - row, begin, end), second = clamp(inner_corner - row, begin, end);
    return {{begin, first, second, end}, {ends(row + begin), ends(row + first), ends(row + second), ends(row + end)}};
  }

  // What a piece adds to the weights of the row below the interval (side -1) or above it (side 1).
  AVSA_HD static Chord<S> chord(const Interval& interval, int piece, double side) {
    using std::sqrt;
    const Ends &from = interval.ends[piece], &to = interval.ends[piece + 1];
    const S &begin = interval.cut[piece], &end = interval.cut[piece + 1];
    // The row's weight in the interpolation is 1 - distance. Its mean over the piece gives the mass; the chord is taken
    // at its centre of mass.
    const S thickness = end - begin, middle = S(0.5) * (begin + end);
    const S mean = side > 0 ? S(1) - middle : middle, nonzero_mean = max(mean, S(1e-6));
    const S left = to.left - from.left, right = to.right - from.right;
    const S half_width = sqrt(S(1) + (left * left + right * right) * S(1.0 / 6));
    const S inverse = S(1) / (half_width * nonzero_mean);  // one division for two
    const S centre = S(0.5) - S(side / 12) * (thickness * (inverse * half_width));
    return {from.left + centre * left, from.right + centre * right, half_width, inverse * nonzero_mean,
            thickness * mean};
  }

  // What the interval above a row (side -1) or below it (side 1) adds to the row's weights. out: [kPieces].
  AVSA_HD void chords(const S& row, double side, Chord<S>* out) const {
    const Interval pieces = interval(side > 0 ? row : row - S(1));
    AVSA_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) out[piece] = chord(pieces, piece, side);
  }

 private:
  AVSA_HD Ends ends(const S& row) const {
    const S inside = clamp(row, -outer_corner, outer_corner);
    const S begin = clamp((inside - half_steep) * inverse_flat, S(-0.5), S(0.5));
    const S end = clamp((inside + half_steep) * inverse_flat, S(-0.5), S(0.5));
    const S centre = inside * columns_per_row;
    return {centre + rising * begin - falling * end - S(kMargin), centre + rising * end - falling * begin + S(kMargin)};
  }
};

}  // namespace avsa::gnomonic
