// On the host: the texels under a block of pixels on an equirectangular plane and their weights, row by row of texels.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "gnomonic/block.h"
#include "gnomonic/byte_sums.h"
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

  // Of cell (column, row) of each pixel. C: channels of the plane.
  template <int C>
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    shape(block, rays, plane, column, row);
    const int most = *std::max_element(rows_, rows_ + kLanes);
    if (chords_.size() < std::size_t(most)) chords_.resize(most);
    Extent extents[kLanes / N];
    Some first(0.0), stop(0.0);
    for (int k = 0; k < most; ++k) {
      // Nothing of a footprint is above its first row or below its last one.
      if (k == 0) std::fill_n(chords_[k].mass[0], kPieces * kLanes, T(0));
      if (k == most - 1) std::fill_n(chords_[k].mass[kPieces], kPieces * kLanes, T(0));
      int parts = 0;
      for (int l = 0; l < kLanes; l += N) {
        Extent &extent = extents[l / N], below;
        if (k < most - 1) cut(k, l, extent, below);
        place<C>(k, l, plane, extent, first, stop);
        parts |= extent.parts.any_bits();
        extent = below;
      }
      chords_[k].parts = __builtin_popcount(unsigned(parts));
      chords_[k].order = kOrders[parts];
    }
    const int top = *std::min_element(top_, top_ + kLanes);
    int bottom = 0;
    for (int l = 0; l < kLanes; ++l) bottom = std::max(bottom, top_[l] + rows_[l]);
    inside_ = top >= 0 && bottom <= int(plane.H) && first.least() >= T(0) && stop.most() <= T(plane.W);
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
    const Some lead = Some::count_from(-u_[l]);
    if (inside_) {
      for (int k = 0; k < rows_[l]; ++k) {
        const Chords& chords = chords_[k];
        const int begin = chords.begin[l], texels = chords.texels[l];
        for (int n = 0; n < texels; n += group) {
          const Some at = lead + Some(chords.column[l] + T(n));
          fetch(plane, first + begin + C * n, frames, C * std::min(texels - n, group));
          visit(begin + C * n, std::min(texels - n, group),
                [&](int i) __attribute__((always_inline)) { return weights(chords, l, at + Some(T(i))); });
        }
      }
      return;
    }
    const int H = int(plane.H), W = int(plane.W);
    for (int k = 0; k < rows_[l]; ++k) {
      const Chords& chords = chords_[k];
      const int column = int(chords.column[l]), texels = chords.texels[l];
      for (int done = 0; done < texels;) {
        const Texel texel = erp_texel(top_[l] + k, column + done, H, W);
        const int side_by_side = std::min(texels - done, W - texel.column);
        const int begin = texel.row * int(plane.row_step) + C * texel.column;
        for (int n = 0; n < side_by_side; n += group) {
          const int rest = std::min(side_by_side - n, group);
          const Some at = lead + Some(T(column + done + n));
          visit(begin + C * n, rest, [&](int i) __attribute__((always_inline)) {
            const Some w = weights(chords, l, at + Some(T(i)));
            return choose(Some::count_from(T(i)) < Some(T(rest)), w, Some(0.0));
          });
        }
        done += side_by_side;
      }
    }
  }

 private:
  // The lines of memory that end where `count` elements from `begin` on do: where they begin, they are mostly of the pixel
  // before.
  template <class In>
  AVSA_HD static void fetch(const Plane& plane, const In* begin, int frames, int count) {
    constexpr int kLine = 64 / sizeof(In);
    for (int last = count - 1; last >= 0; last -= kLine) {
      const In* at = begin + last;
      if (frames == kMostFrames) {
        for (int f = 0; f < kMostFrames; ++f) __builtin_prefetch(at + f * plane.frame_step);
      } else {
        for (int f = 0; f < frames; ++f) __builtin_prefetch(at + f * plane.frame_step);
      }
    }
  }

  using Integers = Lanes<std::int32_t, N>;
  // A row of texels, of each lane: the parts of its weights, ends and slope of each times its sharpness; and which are
  // not empty.
  struct Chords {
    T left[kParts][kLanes], right[kParts][kLanes], sharp[kParts][kLanes], mass[kParts][kLanes];
    T column[kLanes];                             // of the first texel
    std::int32_t begin[kLanes], texels[kLanes];  // elements from the frame's first to it, where all are inside the frame
    int parts;                                    // that are not empty in all lanes
    Order order;                                  // these before the others
  };

  T cells_[kLanes];  // of a pixel's edges
  Footprint<Some> footprints_[kLanes / N];
  T scale_[kLanes];                 // what the footprints' weights are multiplied by
  T u_[kLanes];                     // columns of their centres
  T height_[kLanes];                // of the centres below the first rows
  int top_[kLanes], rows_[kLanes];  // of texels that the footprints touch
  std::vector<Chords> chords_;      // of the rows
  bool inside_;                     // the frame are all texels of all lanes

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

  // Of a row: the columns that the chords so far weight, from the footprint's centre, and the parts that have chords.
  struct Extent {
    Some from = Some(1e9), to = Some(-1e9);
    Integers parts = Integers(0.0);
  };

  AVSA_HD static void put(Chords& chords, int l, int part, const Chord<Some>& chord, const Some& scale, Extent& extent) {
    chord.widen(extent.from, extent.to);
    extent.parts = extent.parts | Integers(choose(chord.mass > Some(0.0), Some(double(1 << part)), Some(0.0)));
    (chord.left * chord.sharp).store(chords.left[part] + l);
    (chord.right * chord.sharp).store(chords.right[part] + l);
    chord.sharp.store(chords.sharp[part] + l);
    (scale * chord.mass).store(chords.mass[part] + l);
  }

  // The interval between rows k and k + 1, of lanes l, l + 1, ...
  AVSA_HD void cut(int k, int l, Extent& above, Extent& below) {
    const Some row = Some(double(k)) - Some::load(height_ + l), scale = Some::load(scale_ + l);
    const auto interval = footprints_[l / N].interval(row);
    for (int part = 0; part < kPieces; ++part) {
      put(chords_[k], l, kPieces + part, Footprint<Some>::chord(interval, part, 1), scale, above);
      put(chords_[k + 1], l, part, Footprint<Some>::chord(interval, part, -1), scale, below);
    }
  }

  // The texels of row k, of lanes l, l + 1, ... Makes first and last, columns of the frame, hold them.
  template <int C>
  AVSA_HD void place(int k, int l, const Plane& plane, const Extent& extent, Some& first, Some& last) {
    Chords& chords = chords_[k];
    const Some u = Some::load(u_ + l), begin = floor(u + extent.from) + Some(1), stop = ceil(u + extent.to), none(0.0);
    // Of a lane that has no such row `from` and `to` are far away.
    const auto some = begin < stop;
    const Some column = choose(some, begin, none), texels = choose(some, stop - begin, none);
    first = smaller(first, column);
    last = larger(last, column + texels);
    column.store(chords.column + l);
    Integers(texels).store(chords.texels + l);
    const Integers row = Integers::load(top_ + l) + Integers(double(k));
    (row * Integers(double(plane.row_step)) + Integers(column) * Integers(double(C))).store(chords.begin + l);
  }

  // Of texels `at` columns from the footprint's centre.
  AVSA_HD static Some weights(const Chords& chords, int l, const Some& at) {
    const auto part = [&](int n) __attribute__((always_inline)) {
      const int p = chords.order[n];
      const Some slope(chords.sharp[p][l]), left(chords.left[p][l]), right(chords.right[p][l]);
      return Some(chords.mass[p][l]) * overlap(left - at * slope, right - at * slope);
    };
    Some sum = part(0) + part(1);  // by twos: one that is left over weighs nothing
    for (int n = 2; n < chords.parts; n += 2) sum = sum + (part(n) + part(n + 1));
    return sum;
  }
};

}  // namespace avsa
