// The texels that a pixel is computed from, and their weights: by bilinear interpolation at a ray (Taps), and one after
// another for a whole pixel (each_texel), as the CUDA kernels and the pose's gradient visit them. S as in geometry.h.
#pragma once
#include "gnomonic/footprint.h"
#include "gnomonic/geometry.h"

namespace avsa::gnomonic {

// The four texels around a ray and their weights in bilinear interpolation.
template <class S>
struct Taps {
  std::int32_t texel[4];  // row · row_step + column · channels: elements from the frame's first; row by row
  S weight[4];            // sum to 1

  AVSA_HD void set(Source source, const Plane& plane, const Vec3<S>& ray) {
    source == Source::erp ? set_erp(plane, erp_point(ray, plane)) : set_eac(plane, ray);
  }

  AVSA_HD void set_erp(const Plane& plane, const Point<S>& p) {
    using std::floor;
    const int H = int(plane.H), W = int(plane.W);
    const int left = int(floor(value_of(p.u))), top = int(floor(value_of(p.v)));  // [-1, W - 1], [-1, H - 1]
    // The row beyond a pole is the pole's row, half a revolution away.
    const bool above = top < 0, below = top == H - 1;
    const int left0 = above ? left + W / 2 : left, left1 = below ? left + W / 2 : left;
    const int row0 = above ? 0 : top, row1 = below ? H - 1 : top + 1;
    set_row(plane, 0, row0, wrapped(left0, W), wrapped(left0 + 1, W));
    set_row(plane, 2, row1, wrapped(left1, W), wrapped(left1 + 1, W));
    set_weights(p.u - S(left), p.v - S(top));
  }

  // Within half a texel of a face's edge the texels inside are extrapolated: those beyond belong to another face.
  AVSA_HD void set_eac(const Plane& plane, const Vec3<S>& ray) {
    const int face = eac_face(ray);
    const Point<S> p = eac_point(face, ray, plane);
    const EacFaces faces(plane);
    const double left_edge = faces.left(face) - plane.first_column, top_edge = faces.top(face, plane.H) - 0.5;
    const int left = inside(value_of(p.u), left_edge, left_edge + faces.width);
    const int top = inside(value_of(p.v), top_edge, top_edge + faces.height);
    set_row(plane, 0, top, left, left + 1);
    set_row(plane, 2, top + 1, left, left + 1);
    set_weights(p.u - S(left), p.v - S(top));
  }

 private:
  AVSA_HD static int wrapped(int column, int W) { return column < 0 ? column + W : column >= W ? column - W : column; }

  // The texel before a position, moved so that it and the next one lie between the edges of a face.
  AVSA_HD static int inside(double position, double begin, double end) {
    const int first = int(std::ceil(begin)), last = int(std::floor(end)) - 1, before = int(std::floor(position));
    return before < first ? first : before > last ? last : before;
  }

  AVSA_HD void set_row(const Plane& plane, int tap, int row, int column, int next) {
    const int begin = row * int(plane.row_step), channels = int(plane.channels);
    texel[tap] = begin + channels * column;
    texel[tap + 1] = begin + channels * next;
  }

  AVSA_HD void set_weights(const S& right, const S& down) {
    weight[0] = (S(1) - down) * (S(1) - right);
    weight[1] = (S(1) - down) * right;
    weight[2] = down * (S(1) - right);
    weight[3] = down * right;
  }
};

// Adjacent texels of a row, visited together.
template <class S, int N>
struct Run {
  std::int32_t begin;  // elements from the frame's first
  S weight[N];
};

// The length of most runs; 1 for types that need many registers.
template <class S>
constexpr int kRunLength = sizeof(S) < sizeof(double) ? 4 : 1;

// The weight of the texel at a column, which may lie outside the plane.
template <class S, int N>
AVSA_HD S texel_weight(const Chord<S> (&chords)[N], const Point<S>& centre, int column, const S& scale) {
  const S x = S(double(column)) - centre.u;
  S sum(0);
  AVSA_UNROLL
  for (const Chord<S>& chord : chords) sum += chord.weight(x);
  return scale * sum;
}

// Calls visit(Run) for the texels of a row that chords weight; returns the sum of their weights.
template <class S, int N, class Visit>
AVSA_HD S each_texel_of_chords(const Plane& plane, const Chord<S> (&chords)[N], const Point<S>& centre, int row,
                               const S& scale, const Visit& visit) {
  using std::floor, std::ceil;
  const int H = int(plane.H), W = int(plane.W), channels = int(plane.channels);
  S begin = S(double(W)), end = S(-double(W));
  AVSA_UNROLL
  for (const Chord<S>& chord : chords) chord.extend(begin, end);
  if (!(begin < end)) return S(0);
  int column = int(floor(value_of(centre.u + begin))) + 1;
  const int stop = int(ceil(value_of(centre.u + end)));
  S sum(0);
  while (column < stop) {
    const Texel texel = erp_texel(row, column, H, W);
    const int begin = texel.row * int(plane.row_step) + channels * texel.column;
    if (kRunLength<S> == 1 || (stop - column >= kRunLength<S> && W - texel.column >= kRunLength<S>)) {
      Run<S, kRunLength<S>> run;
      run.begin = begin;
      AVSA_UNROLL
      for (int i = 0; i < kRunLength<S>; ++i) {
        run.weight[i] = texel_weight(chords, centre, column + i, scale);
        sum += run.weight[i];
      }
      visit(run);
      column += kRunLength<S>;
    } else {
      const Run<S, 1> run{begin, {texel_weight(chords, centre, column, scale)}};
      sum += run.weight[0];
      visit(run);
      ++column;
    }
  }
  return sum;
}

// Calls visit(Run) for the texels of a row of a footprint; returns the sum of their weights.
template <class S, class Visit>
AVSA_HD S each_texel_of_row(const Plane& plane, const Footprint<S>& footprint, const Point<S>& centre, int row,
                            const S& scale, const Visit& visit) {
  const S distance = S(double(row)) - centre.v;
  if constexpr (!kIsDual<S>) {
    Chord<S> chords[2 * kPieces];
    footprint.chords(distance, -1, chords);
    footprint.chords(distance, 1, chords + kPieces);
    return each_texel_of_chords(plane, chords, centre, row, scale, visit);
  } else {  // registers hold the chords of one side only
    S sum(0);
    AVSA_KEEP_LOOP
    for (int side = -1; side <= 1; side += 2) {
      Chord<S> chords[kPieces];
      footprint.chords(distance, side, chords);
      sum += each_texel_of_chords(plane, chords, centre, row, scale, visit);
    }
    return sum;
  }
}

// Calls visit(Run) for the texels around a ray, with weights that add up to `size`. Close to a pole, values are those
// of the ray, derivatives those off the pole.
template <class S, class Visit>
AVSA_HD void each_tap(Source source, const Plane& plane, const Vec3<S>& ray, const S& size, const Visit& visit) {
  Taps<S> taps;
  taps.set(source, plane, ray);
  if constexpr (kIsDual<S>) {
    if (source == Source::erp && is_near_pole(ray, plane)) {
      for (int tap = 0; tap < 4; ++tap) visit(Run<S, 1>{taps.texel[tap], {size * S(value_of(taps.weight[tap]))}});
      taps.set(source, plane, off_pole(ray, plane));
      for (int tap = 0; tap < 4; ++tap)
        visit(Run<S, 1>{taps.texel[tap], {S(value_of(size)) * (taps.weight[tap] - S(value_of(taps.weight[tap])))}});
      return;
    }
  }
  AVSA_UNROLL
  for (int tap = 0; tap < 4; ++tap) visit(Run<S, 1>{taps.texel[tap], {size * taps.weight[tap]}});
}

// Calls visit(Run) for all texels of pixel (column, row) of a crop; returns the sum of their weights. With dual
// numbers, cells that are close to a pole of an ERP plane are interpolated.
template <class S, class R, class Visit>
AVSA_HD S each_texel(const GnomonicView& view, const Plane& plane, const Rays<R>& rays, int column, int row,
                     const Visit& visit) {
  using std::floor, std::ceil;
  const Vec3<R> ray = rays.moved(rays.origin, R(double(column)), R(double(row)));
  const bool footprints = view.source == Source::erp && view.antialias;
  S columns(1), rows(1);  // of cells
  if (footprints) {
    columns = rows = erp_cells(cast<S>(ray), cast<S>(rays.right));
  } else if (view.antialias) {
    columns = eac_cells(cast<S>(ray), cast<S>(rays.right), plane);
    rows = eac_cells(cast<S>(ray), cast<S>(rays.down), plane);
  }
  const int column_radius = cell_radius(double(columns)), row_radius = cell_radius(double(rows));
  S sum(0);
  for (int i = -row_radius; i <= row_radius; ++i)
    for (int j = -column_radius; j <= column_radius; ++j) {
      AVSA_REREAD;  // rays of dual numbers would take 36 registers
      const Cell<S> across(columns, j), down(rows, i);
      const S size = across.size * down.size;
      const R cell_column = R(double(column)) + R(across.centre), cell_row = R(double(row)) + R(down.centre);
      const Vec3<S> cell_ray = cast<S>(rays.moved(rays.origin, cell_column, cell_row));
      bool interpolate = !footprints;
      if constexpr (kIsDual<S>) interpolate = interpolate || is_near_pole(cell_ray, plane);
      if (interpolate) {
        each_tap(view.source, plane, cell_ray, size, visit);
        sum += size;
        continue;
      }
      const Point<S> centre = erp_point(cell_ray, plane);
      const Point<S> a = erp_edge(cell_ray, cast<S>(rays.right), plane);
      const Point<S> b = erp_edge(cell_ray, cast<S>(rays.down), plane);
      Footprint<S> footprint;
      footprint.set({a.u * across.size, a.v * across.size}, {b.u * down.size, b.v * down.size}, plane);
      const S scale = size / footprint.area();
      const int last = int(floor(value_of(centre.v + footprint.half_height + S(1))));
      for (int texel_row = int(ceil(value_of(centre.v - footprint.half_height - S(1)))); texel_row <= last; ++texel_row)
        sum += each_texel_of_row(plane, footprint, centre, texel_row, scale, visit);
    }
  return sum;
}

}  // namespace avsa::gnomonic
