// The weights of the texels under the footprints of a block of pixels on an ERP plane. FootprintRows finds the texels
// row by row; Weights stores their weights in groups of adjacent texels, which are then read from all frames. For byte
// frames weights are integers (ByteGroup), for float frames floats (FloatGroup). Included by *.simd.cpp files only.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>

#include "gnomonic/cpu/byte_sums.h"
#include "gnomonic/cpu/pixel_block.h"

namespace avsa::gnomonic::AVSA_ISA {

constexpr int kMaxRows = 32;          // rows of texels whose chords are kept at a time
constexpr int kChords = 2 * kPieces;  // of a row: those of the interval above it, then those of the interval below it
using ChordOrder = std::array<std::uint8_t, 8>;

// For each set of chords: those in it, then the others.
constexpr auto kChordOrders = [] {
  std::array<ChordOrder, 1 << kChords> orders{};
  for (int set = 0; set < 1 << kChords; ++set)
    for (int n = 0, wanted = 1; wanted >= 0; --wanted)
      for (int chord = 0; chord < kChords; ++chord)
        if ((set >> chord & 1) == wanted) orders[set][n++] = std::uint8_t(chord);
  return orders;
}();

// Cuts the footprints of a block into rows of texels and computes the texels' weights. T: float or double; N: values
// per SIMD vector.
template <class T, int N>
class FootprintRows {
  using V = Lanes<T, N>;
  using Integers = Lanes<std::int32_t, N>;

 public:
  T max_weight[kLanes];  // an upper bound of a texel's weight in the current cell

  // Calls visit() for each cell of the block's pixels, in which each_group() then visits the texels.
  template <class Visit>
  AVSA_HD void each_cell(const Plane& plane, const PixelBlock& block, const Rays<double>& rays, const Visit& visit) {
    for (int l = 0; l < kLanes; l += N)
      erp_cells(block.moved(rays, l, V(0.0), V(0.0)), cast<V>(rays.right)).store(cells_ + l);
    const int radius = cell_radius(double(*std::max_element(cells_, cells_ + kLanes)));
    for (int row = -radius; row <= radius; ++row)
      for (int column = -radius; column <= radius; ++column) {
        set_footprints(plane, block, rays, column, row);
        visit();
      }
  }

  // Calls visit(lane, begin, texels, weights) for groups of at most kTexels adjacent texels until all texels of all
  // lanes are visited. begin: elements from the frame's first; weights(i): V of the weights of texels i, i + 1, ..., 0
  // past the last. C: channels of the plane. Meanwhile prefetches the texels in all frames if none is outside a frame.
  template <int C, int kTexels, class In, class Visit>
  AVSA_HD void each_group(const Plane& plane, const FrameView<In>& frames, const Visit& visit) {
    std::fill_n(chords_[0].mass[0], kPieces * kLanes, T(0));  // nothing of a footprint is above its first row
    Extent extents[kLanes / N];
    for (int first = 0; first < row_count_; first += kMaxRows) {
      const int end = std::min(first + kMaxRows, row_count_);
      set_chords<C>(plane, first, end, extents);
      for (int row = first; row < end; ++row) {
        const RowChords& chords = chords_[row - first];
        // Chords in pairs: an empty one contributes nothing.
        if (chords.count <= 2) {
          each_group_of_row<2, C, kTexels>(chords, row, plane, frames, visit);
        } else if (chords.count <= 4) {
          each_group_of_row<4, C, kTexels>(chords, row, plane, frames, visit);
        } else {
          each_group_of_row<kChords, C, kTexels>(chords, row, plane, frames, visit);
        }
      }
      if (end < row_count_) chords_[0] = chords_[kMaxRows];
    }
  }

 private:
  // The chords of a row of texels, of each lane, in the form that weights() needs, and the texels that they weight.
  struct RowChords {
    T left[kChords][kLanes], right[kChords][kLanes];  // ends · inverse_half_width
    T inverse_half_width[kChords][kLanes], mass[kChords][kLanes];
    T column[kLanes];            // of the first texel
    std::int32_t begin[kLanes];  // elements from the frame's first to it, if all texels are inside the frame
    std::int32_t texels[kLanes];
    int count;         // chords that are not empty in all lanes
    ChordOrder order;  // these before the others
  };

  // The columns that a row's chords weight, from the footprint's centre, and the set of chords that are not empty.
  struct Extent {
    V begin = V(1e9), end = V(-1e9);
    Integers chords = Integers(0.0);
  };

  T cells_[kLanes];  // along each axis of a pixel
  Footprint<V> footprints_[kLanes / N];
  T scale_[kLanes];                      // factor of the footprints' weights
  T u_[kLanes];                          // columns of the footprints' centres
  T height_[kLanes];                     // rows of texels from the footprints' first ones down to their centres
  int top_[kLanes];                      // the first rows of texels
  T rows_[kLanes];                       // number of rows
  int row_count_;                        // the largest of them
  bool inside_;                          // whether all texels of the rows in chords_ are inside the frame
  RowChords chords_[kMaxRows + 1] = {};  // empty chords are evaluated too: they must be finite

  // Sets the footprints of cell (column, row) of each pixel.
  AVSA_HD void set_footprints(const Plane& plane, const PixelBlock& block, const Rays<double>& rays, int column,
                              int row) {
    const Vec3<V> right = cast<V>(rays.right), down = cast<V>(rays.down);
    for (int l = 0; l < kLanes; l += N) {
      const V cells = V::load(cells_ + l);
      const Cell<V> x(cells, column), y(cells, row);
      const Vec3<V> ray = block.moved(rays, l, x.centre, y.centre);
      const Point<V> p = erp_point(ray, plane);
      const Point<V> a = erp_edge(ray, right, plane), b = erp_edge(ray, down, plane);
      Footprint<V>& f = footprints_[l / N];
      f.set({a.u * x.size, a.v * x.size}, {b.u * y.size, b.v * y.size}, plane);
      const V size = x.size * y.size, scale = size / f.area();
      const V top = ceil(p.v - f.half_height - V(1)), bottom = floor(p.v + f.half_height + V(1));
      scale.store(scale_ + l);
      (scale * f.max_weight()).store(max_weight + l);
      p.u.store(u_ + l);
      (p.v - top).store(height_ + l);
      Integers(top).store(top_ + l);
      select(size > V(0.0), bottom - top + V(1), V(0.0)).store(rows_ + l);
    }
    row_count_ = int(*std::max_element(rows_, rows_ + kLanes));
  }

  // Sets chords_ to those of rows first to end - 1. extents: of row `first`; becomes that of row `end`.
  template <int C>
  AVSA_HD void set_chords(const Plane& plane, int first, int end, Extent (&extents)[kLanes / N]) {
    V first_column(0.0), last_column(0.0);
    for (int row = first; row < end; ++row) {
      const bool last = row == row_count_ - 1;
      RowChords& chords = chords_[row - first];
      if (last) std::fill_n(chords.mass[kPieces], kPieces * kLanes, T(0));  // nothing is below the last row
      int used = 0;
      for (int l = 0; l < kLanes; l += N) {
        Extent &extent = extents[l / N], below;
        if (!last) set_interval(row, l, chords, (&chords)[1], extent, below);
        set_texels<C>(row, l, plane, extent, chords, first_column, last_column);
        used |= extent.chords.any_bits();
        extent = below;
      }
      chords.count = __builtin_popcount(unsigned(used));
      chords.order = kChordOrders[used];
    }
    const int top = *std::min_element(top_, top_ + kLanes) + first,
              bottom = *std::max_element(top_, top_ + kLanes) + end;
    inside_ =
        top >= 0 && bottom <= int(plane.H) && first_column.minimum() >= T(0) && last_column.maximum() <= T(plane.W);
  }

  // Sets the chords of the interval between a row and the next, in lanes l to l + N - 1.
  AVSA_HD void set_interval(int row, int l, RowChords& chords, RowChords& next, Extent& above, Extent& below) const {
    const V distance = V(double(row)) - V::load(height_ + l), scale = V::load(scale_ + l);
    const auto interval = footprints_[l / N].interval(distance);
    for (int piece = 0; piece < kPieces; ++piece) {
      set_chord(Footprint<V>::chord(interval, piece, 1), scale, l, kPieces + piece, chords, above);
      set_chord(Footprint<V>::chord(interval, piece, -1), scale, l, piece, next, below);
    }
  }

  AVSA_HD static void set_chord(const Chord<V>& chord, const V& scale, int l, int n, RowChords& to, Extent& extent) {
    chord.extend(extent.begin, extent.end);
    extent.chords = extent.chords | Integers(select(chord.mass > V(0.0), V(double(1 << n)), V(0.0)));
    (chord.left * chord.inverse_half_width).store(to.left[n] + l);
    (chord.right * chord.inverse_half_width).store(to.right[n] + l);
    chord.inverse_half_width.store(to.inverse_half_width[n] + l);
    (scale * chord.mass).store(to.mass[n] + l);
  }

  // Sets the texels of a row, in lanes l to l + N - 1. Extends first_column and last_column to them.
  template <int C>
  AVSA_HD void set_texels(int row, int l, const Plane& plane, const Extent& extent, RowChords& chords, V& first_column,
                          V& last_column) const {
    const V u = V::load(u_ + l), begin = floor(u + extent.begin) + V(1), end = ceil(u + extent.end), zero(0.0);
    // Without chords, begin is far beyond end.
    const auto any = begin < end, exists = V(double(row)) < V::load(rows_ + l);
    const V column = select(any, begin, zero), texels = select(exists, select(any, end - begin, zero), zero);
    first_column = min(first_column, column);
    last_column = max(last_column, column + texels);
    column.store(chords.column + l);
    Integers(texels).store(chords.texels + l);
    const Integers texel_row = Integers::load(top_ + l) + Integers(double(row));
    (texel_row * Integers(double(plane.row_step)) + Integers(column) * Integers(double(C))).store(chords.begin + l);
  }

  // kCount: at least chords.count.
  template <int kCount, int C, int kTexels, class In, class Visit>
  AVSA_HD void each_group_of_row(const RowChords& chords, int row, const Plane& plane, const FrameView<In>& frames,
                                 const Visit& visit) const {
    int order[kCount];
    for (int n = 0; n < kCount; ++n) order[n] = chords.order[n];
    for (int l = 0; l < kLanes; ++l) {
      const int texels = chords.texels[l];
      const V distance = V::count_from(chords.column[l] - u_[l]);  // from the footprint's centre, of the first texels
      if (inside_) {
        for (int n = 0; n < texels; n += kTexels) {
          const int begin = chords.begin[l] + C * n, count = std::min(texels - n, kTexels);
          prefetch(frames, begin, C * count);
          visit(l, begin, count, [&](int i) __attribute__((always_inline)) {
            return weights<kCount>(chords, order, l, distance + V(T(n + i)));
          });
        }
        continue;
      }
      const int H = int(plane.H), W = int(plane.W);
      for (int done = 0; done < texels;) {
        const Texel texel = erp_texel(top_[l] + row, int(chords.column[l]) + done, H, W);
        const int adjacent = std::min(texels - done, W - texel.column);
        for (int n = 0; n < adjacent; n += kTexels) {
          const int begin = texel.row * int(plane.row_step) + C * (texel.column + n);
          const int count = std::min(adjacent - n, kTexels);
          visit(l, begin, count, [&](int i) __attribute__((always_inline)) {
            const V w = weights<kCount>(chords, order, l, distance + V(T(done + n + i)));
            return select(V::count_from(T(i)) < V(T(count)), w, V(0.0));
          });
        }
        done += adjacent;
      }
    }
  }

  // The weights of texels at columns `at` from the footprint's centre.
  template <int kCount>
  AVSA_HD static V weights(const RowChords& chords, const int (&order)[kCount], int l, const V& at) {
    const auto weight = [&](int n) __attribute__((always_inline)) {
      const int c = order[n];
      const V slope(chords.inverse_half_width[c][l]), left(chords.left[c][l]), right(chords.right[c][l]);
      return V(chords.mass[c][l]) * tent_integral(left - at * slope, right - at * slope);
    };
    V sum = weight(0) + weight(1);
    for (int n = 2; n < kCount; n += 2) sum = sum + (weight(n) + weight(n + 1));
    return sum;
  }

  // Prefetches the cache lines that hold the last of every 64 bytes of `count` elements: the line at the beginning was
  // mostly prefetched for the pixel before.
  template <class In>
  AVSA_HD static void prefetch(const FrameView<In>& view, int begin, int count) {
    constexpr int kLine = 64 / sizeof(In);
    for (int last = count - 1; last >= 0; last -= kLine) {
      const In* at = view.data + begin + last;
      if (view.frames == kMaxFrames) {  // a loop that compilers unroll
        for (int f = 0; f < kMaxFrames; ++f) __builtin_prefetch(at + f * view.frame_step);
      } else {
        for (int f = 0; f < view.frames; ++f) __builtin_prefetch(at + f * view.frame_step);
      }
    }
  }
};

// For frames of T, float or double, of 3 channels.
template <class T>
class Weights {
 public:
  LaneGroups<FloatGroup<T>> groups;
  T total[kLanes];  // sum of a lane's weights so far

  // Computes all weights of a block. Calls use() each time that `groups` holds a part of them.
  template <int C, class Use>
  AVSA_HD void compute(const Plane& plane, const PixelBlock& block, const Rays<double>& rays,
                       const FrameView<T>& frames, const Use& use) {
    static_assert(C == 3);
    std::fill_n(total, kLanes, T(0));
    rows_.each_cell(plane, block, rays, [&]() __attribute__((always_inline)) {
      groups.clear();
      const auto store = [&](int l, int begin, int texels, const auto& weights) __attribute__((always_inline)) {
        if (groups.count[l] + kParts > kMaxGroups) use(), groups.clear();
        T w[kGroupElements];
        for (int i = 0; i < kGroupElements; i += kWidth<T>) weights(i).store(w + i);
        for (int i = 0; i < texels; ++i) total[l] += w[i];
        for (int n = 0; n < texels; n += kGroupTexels) {
          FloatGroup<T>& group = groups.append(l);
          group.begin = begin + C * n;
          for (int i = 0; i < kGroupElements; ++i) {
            const bool inside = i < C * kGroupTexels && n + i / C < texels;
            group.weights[i] = inside ? w[n + i / C] : T(0);
          }
        }
      };
      rows_.template each_group<C, kParts * kGroupTexels>(plane, frames, store);
      use();
    });
  }

  // Adds the weighted sums over `groups` to values [frames, 3, kLanes].
  template <int C>
  AVSA_HD void add_sums(const FrameView<T>& view, T* values) const {
    for (int l = 0; l < kLanes; ++l)
      for (int f = 0; f < view.frames; ++f) {
        const T* frame = view.data + f * view.frame_step;
        T sums[kGroupElements] = {};
        for (int n = 0; n < groups.count[l]; ++n) {
          const FloatGroup<T>& group = groups.groups[n][l];
          const T* from = frame + group.begin;
          T end[kGroupElements] = {};  // nothing beyond a frame may be read
          if (view.size - group.begin < kGroupElements)
            from = std::copy_n(from, view.size - group.begin, end), from = end;
          AVSA_LANES
          for (int i = 0; i < kGroupElements; ++i) {
            // An element of weight 0 may be NaN.
            sums[i] += group.weights[i] != 0 ? group.weights[i] * from[i] : T(0);
          }
        }
        for (int c = 0; c < C; ++c)
          for (int i = c; i < C * kGroupTexels; i += C) values[(3 * f + c) * kLanes + l] += sums[i];
      }
  }

 private:
  static constexpr int kGroupTexels = kGroupElements / 3, kParts = 3;  // kParts groups are weighted together

  FootprintRows<T, kWidth<T>> rows_;
};

// For frames of bytes.
template <>
class Weights<std::uint8_t> {
 public:
  LaneGroups<ByteGroup> groups;
  float unit[kLanes];   // of a lane's integer weights
  float total[kLanes];  // sum of a lane's weights so far

  // As above. C: channels of the plane.
  template <int C, class Use>
  AVSA_HD void compute(const Plane& plane, const PixelBlock& block, const Rays<double>& rays,
                       const FrameView<std::uint8_t>& frames, const Use& use) {
    std::fill_n(total, kLanes, 0.0f);
    rows_.each_cell(plane, block, rays, [&]() __attribute__((always_inline)) {
      groups.clear();
      float inverse_unit[kLanes];
      V sums[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        unit[l] = max(rows_.max_weight[l], 1e-30f) * (1.0f / kMaxByteWeight);  // not 0
        inverse_unit[l] = 1 / unit[l];
        sums[l] = V(0.0);
      }
      const auto store = [&](int l, int begin, int texels, const auto& weights) __attribute__((always_inline)) {
        if (groups.count[l] == kMaxGroups) use(), groups.clear();
        ByteGroup& group = groups.append(l);
        group.begin = begin;
        group.texels = texels;
        for (int i = 0; i < kGroupElements; i += kWidth<float>)
          sums[l] = sums[l] + store_rounded(texels > i ? weights(i) * V(inverse_unit[l]) : V(0.0), group, i);
      };
      rows_.template each_group<C, kGroupElements>(plane, frames, store);
      for (int l = 0; l < kLanes; ++l) total[l] += unit[l] * sums[l].sum();
      use();
    });
  }

  // Adds the weighted sums over `groups` to values [frames, 3, kLanes].
  template <int C>
  AVSA_HD void add_sums(const FrameView<std::uint8_t>& view, float* values) const {
    byte_sums<C>(view, groups, unit, values);
  }

 private:
  using V = Lanes<float, kWidth<float>>;
  using Integers = Lanes<std::int32_t, kWidth<float>>;
  using Bytes = Lanes<std::int8_t, kWidth<float>>;

  FootprintRows<float, kWidth<float>> rows_;

  // Stores weights, in units, rounded to integers; returns them rounded.
  AVSA_HD static V store_rounded(const V& weights, ByteGroup& to, int at) {
    const Integers rounded(weights + V(0.5));
    Bytes((rounded + Integers(128)) >> 8).store(to.high + at);
    Bytes(rounded).store(to.low + at);  // the last 8 bits, as a number from -128 on
    return V(rounded);
  }
};

}  // namespace avsa::gnomonic::AVSA_ISA
