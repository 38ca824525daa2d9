// One pixel's texels and their weights, one after another: for the device, and for numbers that carry derivatives.
#pragma once
#include "gnomonic/cells.h"
#include "gnomonic/footprint.h"
#include "gnomonic/pose.h"
#include "gnomonic/taps.h"

namespace avsa::gnomonic {

// Texels side by side that are visited at once: one where numbers are wide, for want of registers.
template <class S>
constexpr int kRun = sizeof(S) < sizeof(double) ? 4 : 1;

// Texels side by side: elements from the frame's first.
template <class S, int N>
struct Run {
  std::int32_t begin;
  S weight[N];
};

// Calls visit(Run) for the texels of a row that chords weight; returns the sum of their weights.
template <class S, int N, class Visit>
AVSA_HD S each_texel_of_chords(const Plane& plane, const Chord<S> (&chords)[N], const Point<S>& centre, int row,
                               const S& scale, const Visit& visit) {
  using std::floor, std::ceil;
  const int H = int(plane.H), W = int(plane.W), channels = int(plane.channels);
  S begin = S(double(W)), end = S(-double(W));
  AVSA_UNROLL
  for (const Chord<S>& chord : chords) chord.widen(begin, end);
  if (!(begin < end)) return S(0);
  int column = int(floor(plain(centre.u + begin))) + 1;
  const int stop = int(ceil(plain(centre.u + end)));
  const auto weight = [&](int at) {
    const S x = S(double(at)) - centre.u;
    S sum(0);
    AVSA_UNROLL
    for (const Chord<S>& chord : chords) sum += chord.weight(x);
    return scale * sum;
  };
  S sum(0);
  while (column < stop) {
    const Texel texel = erp_texel(row, column, H, W);
    const int begin = texel.row * int(plane.row_step) + channels * texel.column;
    if (kRun<S> == 1 || (stop - column >= kRun<S> && W - texel.column >= kRun<S>)) {
      Run<S, kRun<S>> run;
      run.begin = begin;
      AVSA_UNROLL
      for (int i = 0; i < kRun<S>; ++i) {
        run.weight[i] = weight(column + i);
        sum += run.weight[i];
      }
      visit(run);
      column += kRun<S>;
    } else {
      const Run<S, 1> run{begin, {weight(column)}};
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
  const S place = S(double(row)) - centre.v;
  if constexpr (sizeof(S) <= sizeof(double)) {
    Chord<S> chords[2 * kPieces];
    footprint.chords(place, -1, chords);
    footprint.chords(place, 1, chords + kPieces);
    return each_texel_of_chords(plane, chords, centre, row, scale, visit);
  } else {  // Numbers with derivatives: registers hold the chords of one side.
    S sum(0);
    AVSA_KEEP_LOOP
    for (int side = -1; side <= 1; side += 2) {
      Chord<S> chords[kPieces];
      footprint.chords(place, side, chords);
      sum += each_texel_of_chords(plane, chords, centre, row, scale, visit);
    }
    return sum;
  }
}

// Calls visit(Run) for all texels of pixel (column, row) of a crop; returns the sum of their weights.
template <class S, class R, class Visit>
AVSA_HD S each_texel(const GnomonicView& view, const Plane& plane, const Rays<R>& rays, int column, int row,
                     const Visit& visit) {
  using std::floor, std::ceil;
  const Vec3<R> ray = rays.at(rays.origin, R(double(column)), R(double(row)));
  const bool footprints = view.source == Source::erp && view.antialias;
  S columns(1), rows(1);
  if (footprints) {
    columns = rows = erp_cells(cast<S>(ray), cast<S>(rays.right));
  } else if (view.antialias) {
    columns = eac_cells(cast<S>(ray), cast<S>(rays.right), plane);
    rows = eac_cells(cast<S>(ray), cast<S>(rays.down), plane);
  }
  const int columns_aside = cells_aside(double(columns)), rows_aside = cells_aside(double(rows));
  S sum(0);
  for (int i = -rows_aside; i <= rows_aside; ++i)
    for (int j = -columns_aside; j <= columns_aside; ++j) {
      AVSA_REREAD;  // of rays: those of numbers with derivatives would take 36 registers
      const Cell<S> along(columns, j), across(rows, i);
      const S share = along.share * across.share;
      const R right = R(double(column)) + R(along.middle), down = R(double(row)) + R(across.middle);
      const Vec3<S> middle = cast<S>(rays.at(rays.origin, right, down));
      if (!footprints) {
        Taps<S> taps;
        taps.set(view.source, plane, middle);
        AVSA_UNROLL
        for (int tap = 0; tap < 4; ++tap) visit(Run<S, 1>{taps.texel[tap], {share * taps.weight[tap]}});
        sum += share;
        continue;
      }
      const Point<S> centre = erp_point(middle, plane);
      const Point<S> a = erp_edge(middle, cast<S>(rays.right), plane), b = erp_edge(middle, cast<S>(rays.down), plane);
      Footprint<S> footprint;
      footprint.set({a.u * along.share, a.v * along.share}, {b.u * across.share, b.v * across.share}, plane);
      const S scale = share / footprint.area();
      const int last = int(floor(plain(centre.v + footprint.half_height + S(1))));
      for (int texel_row = int(ceil(plain(centre.v - footprint.half_height - S(1)))); texel_row <= last; ++texel_row) {
        sum += each_texel_of_row(plane, footprint, centre, texel_row, scale, visit);
      }
    }
  return sum;
}

}  // namespace avsa::gnomonic
