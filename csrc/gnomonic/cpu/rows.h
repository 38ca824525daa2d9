// On the host: the texels under a block of pixels on an equirectangular plane and their weights, row by row of texels.
#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "gnomonic/cells.h"
#include "gnomonic/cpu/block.h"
#include "gnomonic/cpu/byte_sums.h"
#include "gnomonic/footprint.h"

namespace avsa::gnomonic {

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
    count_ = int(*std::max_element(rows_, rows_ + kLanes));
    if (chords_.size() < std::size_t(count_)) chords_.resize(count_);
    Extent extents[kLanes / N];
    Some first(0.0), stop(0.0);
    for (int k = 0; k < count_; ++k) {
      // Nothing of a footprint is above its first row or below its last one.
      if (k == 0) std::fill_n(chords_[k].mass[0], kPieces * kLanes, T(0));
      if (k == count_ - 1) std::fill_n(chords_[k].mass[kPieces], kPieces * kLanes, T(0));
      int parts = 0;
      Some widest(0.0);
      for (int l = 0; l < kLanes; l += N) {
        Extent &extent = extents[l / N], below;
        if (k < count_ - 1) cut(k, l, extent, below);
        place<C>(k, l, plane, extent, first, stop, widest);
        parts |= extent.parts.any_bits();
        extent = below;
      }
      chords_[k].widest = int(widest.most());
      chords_[k].parts = __builtin_popcount(unsigned(parts));
      chords_[k].order = kOrders[parts];
    }
    const int top = *std::min_element(top_, top_ + kLanes), bottom = *std::max_element(top_, top_ + kLanes) + count_;
    inside_ = top >= 0 && bottom <= int(plane.H) && first.least() >= T(0) && stop.most() <= T(plane.W);
  }

  // The most groups of at most `group` texels that a lane has: a frame's edge cuts its rows.
  AVSA_HD int groups_a_lane(const Plane& plane, int group) const {
    int sum = 0;
    for (int k = 0; k < count_; ++k) {
      const int texels = chords_[k].widest;
      sum += (texels + group - 1) / group + (inside_ ? 0 : texels / int(plane.W) + 2);
    }
    return sum;
  }

  // Calls visit(lane, begin, texels, weights) for groups of at most `group` texels side by side, all of all lanes.
  // begin: elements from the frame's first; weights(i): those of texels i, i + 1, ..., 0 past the last.
  // C: channels of the plane. Where all texels are inside the frame, the memory is asked for them in `frames` frames
  // while weights are made.
  template <int C, int group, class In, class Visit>
  AVSA_HD void each_group(const Plane& plane, const In* first, int frames, const Visit& visit) const {
    for (int k = 0; k < count_; ++k) {
      const int parts = chords_[k].parts;
      // By twos: one that is left over weighs nothing.
      if (parts <= 2) {
        each_group_of_row<2, C, group>(k, plane, first, frames, visit);
      } else if (parts <= 4) {
        each_group_of_row<4, C, group>(k, plane, first, frames, visit);
      } else {
        each_group_of_row<kParts, C, group>(k, plane, first, frames, visit);
      }
    }
  }

 private:
  // The lines of memory that end where `count` elements from `begin` on do: where they begin, they are mostly of the
  // pixel before.
  template <class In>
  AVSA_HD static void fetch(const Plane& plane, const In* begin, int frames, int count) {
    constexpr int kLine = 64 / sizeof(In);
    for (int last = count - 1; last >= 0; last -= kLine) {
      const In* at = begin + last;
      if (frames == kMostFrames) {  // a loop that compilers unroll
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
    T column[kLanes];            // of the first texel
    std::int32_t begin[kLanes];  // elements from the frame's first to it, where all are inside the frame
    std::int32_t texels[kLanes];
    int widest;   // most texels in a lane
    int parts;    // that are not empty in all lanes
    Order order;  // these before the others
  };

  T cells_[kLanes];  // of a pixel's edges
  Footprint<Some> footprints_[kLanes / N];
  T scale_[kLanes];             // what the footprints' weights are multiplied by
  T u_[kLanes];                 // columns of their centres
  T height_[kLanes];            // of the centres below the first rows
  int top_[kLanes];             // first rows of texels that the footprints touch
  T rows_[kLanes];              // how many
  int count_;                   // the most of them
  std::vector<Chords> chords_;  // of the rows
  bool inside_;                 // the frame are all texels of all lanes

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
      Integers(top).store(top_ + l);
      choose(share > Some(0.0), bottom - top + Some(1), Some(0.0)).store(rows_ + l);
    }
  }

  // Of a row: the columns that the chords so far weight, from the footprint's centre, and the parts that have chords.
  struct Extent {
    Some from = Some(1e9), to = Some(-1e9);
    Integers parts = Integers(0.0);
  };

  AVSA_HD static void put(Chords& chords, int l, int part, const Chord<Some>& chord, const Some& scale,
                          Extent& extent) {
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
  AVSA_HD void place(int k, int l, const Plane& plane, const Extent& extent, Some& first, Some& last, Some& widest) {
    Chords& chords = chords_[k];
    const Some u = Some::load(u_ + l), begin = floor(u + extent.from) + Some(1), stop = ceil(u + extent.to), none(0.0);
    // Of a lane that has no such row, `from` and `to` are far away, or its share of the pixel is none.
    const auto some = begin < stop, here = Some(double(k)) < Some::load(rows_ + l);
    const Some column = choose(some, begin, none), texels = choose(here, choose(some, stop - begin, none), none);
    widest = larger(widest, texels);
    first = smaller(first, column);
    last = larger(last, column + texels);
    column.store(chords.column + l);
    Integers(texels).store(chords.texels + l);
    const Integers row = Integers::load(top_ + l) + Integers(double(k));
    (row * Integers(double(plane.row_step)) + Integers(column) * Integers(double(C))).store(chords.begin + l);
  }

  // count: parts of the row's weights, at least.
  template <int count, int C, int group, class In, class Visit>
  AVSA_HD void each_group_of_row(int k, const Plane& plane, const In* first, int frames, const Visit& visit) const {
    const Chords& chords = chords_[k];
    int part[count];
    for (int n = 0; n < count; ++n) part[n] = chords.order[n];
    for (int l = 0; l < kLanes; ++l) {
      const int texels = chords.texels[l];
      const Some lead = Some::count_from(chords.column[l] - u_[l]);
      if (inside_) {
        for (int n = 0; n < texels; n += group) {
          const int begin = chords.begin[l] + C * n, some = std::min(texels - n, group);
          fetch(plane, first + begin, frames, C * some);
          visit(l, begin, some, [&](int i) __attribute__((always_inline)) {
            return weights<count>(chords, part, l, lead + Some(T(n + i)));
          });
        }
        continue;
      }
      const int H = int(plane.H), W = int(plane.W);
      for (int done = 0; done < texels;) {
        const Texel texel = erp_texel(top_[l] + k, int(chords.column[l]) + done, H, W);
        const int side_by_side = std::min(texels - done, W - texel.column);
        for (int n = 0; n < side_by_side; n += group) {
          const int begin = texel.row * int(plane.row_step) + C * (texel.column + n),
                    some = std::min(side_by_side - n, group);
          visit(l, begin, some, [&](int i) __attribute__((always_inline)) {
            const Some w = weights<count>(chords, part, l, lead + Some(T(done + n + i)));
            return choose(Some::count_from(T(i)) < Some(T(some)), w, Some(0.0));
          });
        }
        done += side_by_side;
      }
    }
  }

  // Of texels `at` columns from the footprint's centre.
  template <int count>
  AVSA_HD static Some weights(const Chords& chords, const int (&part)[count], int l, const Some& at) {
    const auto weight = [&](int n) __attribute__((always_inline)) {
      const int p = part[n];
      const Some slope(chords.sharp[p][l]), left(chords.left[p][l]), right(chords.right[p][l]);
      return Some(chords.mass[p][l]) * overlap(left - at * slope, right - at * slope);
    };
    Some sum = weight(0) + weight(1);
    for (int n = 2; n < count; n += 2) sum = sum + (weight(n) + weight(n + 1));
    return sum;
  }
};

}  // namespace avsa::gnomonic
