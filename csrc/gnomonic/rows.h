// On the host: the texels under a block of pixels on an equirectangular plane and their weights, row by row of texels.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "gnomonic/block.h"
#include "gnomonic/cells.h"
#include "gnomonic/footprint.h"

namespace avsa {

constexpr int kWide = 16;  // texels of a row that are weighted together at most

constexpr int kParts = 2 * kPieces;  // of a row's weights
using Order = std::array<std::uint8_t, 8>;

// For each set of parts: those in it, then the others.
constexpr auto kOrders = [] {
  std::array<Order, 1 << kParts> orders{};
  for (int set = 0; set < 1 << kParts; ++set)
    for (int n = 0, wanted = 1; wanted >= 0; --wanted)
      for (int part = 0; part < kParts; ++part)
        if ((set >> part & 1) == wanted) orders[set][n++] = std::uint8_t(part);
  return orders;
}();

// N: numbers that formulas take at a time.
template <class T, int N>
class Rows {
  using Some = Lanes<T, N>;

 public:
  T heaviest[kLanes];  // the most that a texel of a lane's cell can weigh

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin_block(const BlockRays& block, const Rays<double>& rays) {
    for (int l = 0; l < kLanes; l += N)
      erp_cells(block.moved(rays, l, Some(0.0), Some(0.0)), cast<Some>(rays.right)).store(cells_ + l);
    return cells_aside(double(*std::max_element(cells_, cells_ + kLanes)));
  }

  // Of cell (column, row) of each pixel.
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    shape(block, rays, plane, column, row);
    const int most = *std::max_element(rows_, rows_ + kLanes);
    if (chords_.size() < std::size_t(most)) chords_.resize(most);
    for (int k = 0; k < most; ++k) cut(k, chords_[k]);
  }

  // Texels of all lanes, and parts that the frame's edge can cut their rows into.
  AVSA_HD std::int64_t texels() const {
    std::int64_t sum = 0;
    for (int l = 0; l < kLanes; ++l)
      for (int k = 0; k < rows_[l]; ++k) sum += chords_[k].texels[l];
    return sum;
  }
  AVSA_HD std::int64_t parts(const Plane& plane) const {
    std::int64_t rows = 0;
    for (int l = 0; l < kLanes; ++l) rows += rows_[l];
    return 2 * rows + texels() / plane.W;
  }

  // Calls visit(begin, texels, weights) for groups of at most `group` texels side by side, all of a lane's.
  // begin: elements from the frame's first; weights(i): those of texels i, i + 1, ..., 0 past the last.
  // C: channels of the plane. While weights are made, the memory is asked for the texels in `frames` frames.
  template <int C, int group, class In, class Visit>
  AVSA_HD void each_group(const Plane& plane, const In* first, int frames, int l, const Visit& visit) const {
    const int H = int(plane.H), W = int(plane.W);
    for (int k = 0; k < rows_[l]; ++k) {
      const Chords& chords = chords_[k];
      const auto groups = [&](int begin, int column, int texels) __attribute__((always_inline)) {
        for (int n = 0; n < texels; n += group) {
          const int rest = std::min(texels - n, group), from = begin + C * n;
          const T x = T(column + n) - u_[l];
          fetch(plane, first, frames, from, C * rest);
          visit(from, rest, [&](int i) __attribute__((always_inline)) { return weights(chords, l, x, rest, i); });
        }
      };
      const int row = top_[l] + k, column = chords.column[l], texels = chords.texels[l];
      if (unsigned(row) < unsigned(H) && column >= 0 && column + texels <= W) {
        groups(row * int(plane.row_step) + C * column, column, texels);
        continue;
      }
      for (int done = 0; done < texels;) {
        const Texel texel = erp_texel(row, column + done, H, W);
        const int side_by_side = std::min(texels - done, W - texel.column);
        groups(texel.row * int(plane.row_step) + C * texel.column, column + done, side_by_side);
        done += side_by_side;
      }
    }
  }

 private:
  // The lines of memory that end where `count` elements from `begin` on do: where they begin, they are mostly of the
  // pixel before.
  template <class In>
  AVSA_HD static void fetch(const Plane& plane, const In* first, int frames, int begin, int count) {
    constexpr int kLine = 64 / sizeof(In);
    for (int f = 0; f < frames; ++f)
      for (int last = count - 1; last >= 0; last -= kLine)
        __builtin_prefetch(first + f * plane.frame_step + begin + last);
  }

  using Integers = Lanes<std::int32_t, N>;
  // A row of texels, of each lane: the parts of its weights, ends and slope of each times its sharpness; and which are
  // not empty.
  struct Chords {
    T left[kParts][kLanes], right[kParts][kLanes], sharp[kParts][kLanes], mass[kParts][kLanes];
    std::int32_t parts[kLanes], column[kLanes], texels[kLanes];
    Order order[kLanes];  // parts that are not empty before those that are
  };

  T cells_[kLanes];  // of a pixel's edges
  Footprint<Some> footprints_[kLanes / N];
  T scale_[kLanes];                 // what the footprints' weights are multiplied by
  T u_[kLanes];                     // columns of their centres
  T height_[kLanes];                // of the centres below the first rows
  int top_[kLanes], rows_[kLanes];  // of texels that the footprints touch
  std::vector<Chords> chords_;      // of the rows

  AVSA_HD void shape(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    const Vec3<Some> right = cast<Some>(rays.right), down = cast<Some>(rays.down);
    for (int l = 0; l < kLanes; l += N) {
      const Some cells = Some::load(cells_ + l);
      const Cell<Some> along(cells, column), across(cells, row);
      const Vec3<Some> ray = block.moved(rays, l, along.middle, across.middle);
      const Point<Some> p = erp_point(ray, plane);
      const Point<Some> a = erp_edge(ray, right, plane), b = erp_edge(ray, down, plane);
      Footprint<Some>& f = footprints_[l / N];
      f.set({a.u * along.share, a.v * along.share}, {b.u * across.share, b.v * across.share}, plane);
      const Some share = along.share * across.share, scale = share / f.area();
      const Some top = ceil(p.v - f.half_height - Some(1)), bottom = floor(p.v + f.half_height + Some(1));
      scale.store(scale_ + l);
      (scale * f.most()).store(heaviest + l);
      p.u.store(u_ + l);
      (p.v - top).store(height_ + l);
      for (int i = 0; i < N; ++i) {
        top_[l + i] = int(top.v[i]);
        rows_[l + i] = share.v[i] > 0 ? int(bottom.v[i]) - int(top.v[i]) + 1 : 0;
      }
    }
  }

  AVSA_HD void cut(int k, Chords& chords) const {
    const Some far(1e9);
    for (int l = 0; l < kLanes; l += N) {
      const Some row = Some(double(k)) - Some::load(height_ + l), scale = Some::load(scale_ + l);
      Some from = far, to = -far, parts(0.0);
      for (int side = 0; side < 2; ++side) {
        Chord<Some> pieces[kPieces];
        footprints_[l / N].chords(row, side ? 1 : -1, pieces);
        for (int piece = 0; piece < kPieces; ++piece) {
          const Chord<Some>& chord = pieces[piece];
          const int part = side * kPieces + piece;
          chord.widen(from, to);
          parts = parts + choose(chord.mass > Some(0.0), Some(double(1 << part)), Some(0.0));
          (chord.left * chord.sharp).store(chords.left[part] + l);
          (chord.right * chord.sharp).store(chords.right[part] + l);
          chord.sharp.store(chords.sharp[part] + l);
          (scale * chord.mass).store(chords.mass[part] + l);
        }
      }
      const Some u = Some::load(u_ + l), begin = floor(u + from) + Some(1), stop = ceil(u + to), none(0.0);
      // Of a lane that has no such row `from` and `to` are far away.
      const auto some = begin < stop;
      Integers(choose(some, begin, none)).store(chords.column + l);
      Integers(choose(some, stop - begin, none)).store(chords.texels + l);
      const Integers which(parts);
      for (int i = 0; i < N; ++i) {
        const int mask = which.v[i];
        chords.order[l + i] = kOrders[mask];
        chords.parts[l + i] = __builtin_popcount(unsigned(mask));
      }
    }
  }

  // Of texels i, i + 1, ... of a group that begins x columns from the footprint's centre.
  AVSA_HD static Some weights(const Chords& chords, int l, T x, int texels, int i) {
    const Some at = Some::count_from(x + T(i));
    const auto part = [&](int n) __attribute__((always_inline)) {
      const int p = chords.order[l][n];
      const Some slope(chords.sharp[p][l]), left(chords.left[p][l]), right(chords.right[p][l]);
      return Some(chords.mass[p][l]) * overlap(left - at * slope, right - at * slope);
    };
    Some sum = part(0) + part(1);  // by twos: one that is left over weighs nothing
    for (int n = 2; n < chords.parts[l]; n += 2) sum = sum + (part(n) + part(n + 1));
    const Some none(0.0);
    return choose(Some::count_from(T(i)) < Some(double(texels)), sum, none);
  }
};

}  // namespace avsa
