// Bilinear interpolation of a block of pixels at rays: the pixels' own without antialiasing, else those of their cells
// on a cubemap. Included by *.simd.cpp files only.
#pragma once
#include <algorithm>
#include <cstring>

#include "gnomonic/cpu/byte_sums.h"
#include "gnomonic/texels.h"

namespace avsa::gnomonic::AVSA_ISA {

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)  // bytes_vnni.h, included by byte_sums.h
constexpr bool kHasByteTaps = true;
#else
constexpr bool kHasByteTaps = false;
#endif

// Calls visit(columns, rows, weights), arrays [kLanes], for each cell of the block's pixels: its centre, in pixels from
// the pixel's, and its size times the value of 1 in a frame. A pixel is one cell without antialiasing.
template <class In, class T, class Visit>
AVSA_HD void each_cell_centre(const GnomonicView& view, const Plane& plane, const PixelBlock& block,
                              const Rays<double>& rays, const Visit& visit) {
  T columns[kLanes], rows[kLanes], most = 1;
  for (int l = 0; l < kLanes; ++l) {
    columns[l] = view.antialias ? eac_cells(cast<T>(block.ray(l)), cast<T>(rays.right), plane) : T(1);
    rows[l] = view.antialias ? eac_cells(cast<T>(block.ray(l)), cast<T>(rays.down), plane) : T(1);
    most = max(most, max(columns[l], rows[l]));
  }
  const int radius = cell_radius(double(most));
  for (int row = -radius; row <= radius; ++row)
    for (int column = -radius; column <= radius; ++column) {
      T right[kLanes], down[kLanes], weight[kLanes];
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) {
        const Cell<T> x(columns[l], column), y(rows[l], row);
        right[l] = x.centre;
        down[l] = y.centre;
        weight[l] = kScale<In, T> * x.size * y.size;
      }
      visit(right, down, weight);
    }
}

// The taps of a block's pixels. C: channels of the plane; In: uint8, float or double.
template <int C, class In, class T>
class BlockTaps {
  static constexpr int N = kWidth<T>;
  using V = Lanes<T, N>;

 public:
  // Finds the taps at the rays of the block's pixels, moved by columns and rows. All arrays are [kLanes].
  AVSA_HD void set(const GnomonicView& view, const Plane& plane, const PixelBlock& block, const Rays<double>& rays,
                   const T* columns, const T* rows, const T* weights) {
    if (view.source == Source::erp) {
      T u[kLanes], v[kLanes];
      for (int l = 0; l < kLanes; l += N) {
        const Point<V> p = erp_point(block.moved(rays, l, V::load(columns + l), V::load(rows + l)), plane);
        p.u.store(u + l);
        p.v.store(v + l);
      }
      set_erp(plane, u, v, weights);
      return;
    }
    for (int l = 0; l < kLanes; ++l) {
      Taps<T> taps;
      taps.set_eac(plane, cast<T>(rays.moved(block.ray(l), columns[l], rows[l])));
      set_lane(l, taps, weights[l]);
    }
    find_pairs(plane);
  }

  // Prefetches the texels in all frames.
  AVSA_HD void prefetch(const FrameView<In>& view) const {
    const In* frame = view.data;
    for (int f = 0; f < view.frames; ++f, frame += view.frame_step) {
      for (int l = 0; l < kLanes; l += lanes_per_line_) {
        __builtin_prefetch(frame + texel_[0][l]);
        __builtin_prefetch(frame + texel_[2][l]);
      }
      __builtin_prefetch(frame + texel_[1][kLanes - 1]);
      __builtin_prefetch(frame + texel_[3][kLanes - 1]);
    }
  }

  // values, [frames, 3, kLanes] from the plane's first channel on, become the interpolated ones, or grow by them.
  AVSA_HD void read(const FrameView<In>& view, bool accumulate, T* values) const {
    std::uint32_t rest = kAllLanes;
    if constexpr (kPairs) {
      if (pairs_ != 0) {
        byte_taps<C>(view, pair_[0], pair_[1], pairs_, weight_[0], accumulate, values);
        rest = kAllLanes & ~pairs_;
        accumulate = true;
      }
    }
    if (!accumulate)
      for (int f = 0; f < view.frames; ++f) std::memset(values + 3 * f * kLanes, 0, C * kLanes * sizeof(T));
    if (rest == kAllLanes) return add(view, 0, kLanes, values);
    for (; rest != 0; rest &= rest - 1) {
      const int l = __builtin_ctz(rest);
      add(view, l, l + 1, values);
    }
  }

 private:
  static constexpr std::uint32_t kAllLanes = (1u << kLanes) - 1;
  static constexpr bool kPairs = kHasByteTaps && sizeof(In) == 1;  // read a row's two texels together by byte_taps
  static constexpr int kPairBytes = 8;                             // that it reads

  std::int32_t texel_[4][kLanes];
  T weight_[4][kLanes];
  std::uint32_t pairs_;           // set of the lanes whose texels byte_taps can read
  std::int32_t pair_[2][kLanes];  // places that byte_taps reads, of all lanes
  int lanes_per_line_ = 1;        // about how many lanes' texels share a cache line

  AVSA_HD static std::int32_t last_pair(const Plane& plane) {
    return std::int32_t((plane.H - 1) * plane.row_step + C * plane.W) - kPairBytes;
  }

  AVSA_HD void find_pairs(const Plane& plane) {
    if constexpr (!kPairs) return;
    const std::int32_t last = last_pair(plane);
    pairs_ = 0;
    for (int l = 0; l < kLanes; ++l) {
      const bool adjacent = texel_[1][l] == texel_[0][l] + C && texel_[3][l] == texel_[2][l] + C;
      if (adjacent && texel_[0][l] <= last && texel_[2][l] <= last) pairs_ |= 1u << l;
    }
    // Lanes that are not pairs may not be readable: they read the places of one that is.
    const int readable = pairs_ ? __builtin_ctz(pairs_) : 0;
    for (int l = 0; l < kLanes; ++l) {
      const int from = pairs_ >> l & 1 ? l : readable;
      pair_[0][l] = texel_[0][from];
      pair_[1][l] = texel_[2][from];
    }
  }

  // Adds the interpolated values of lanes `begin` to `end` - 1.
  AVSA_HD void add(const FrameView<In>& view, int begin, int end, T* values) const {
    const In* frame = view.data;
    for (int f = 0; f < view.frames; ++f, frame += view.frame_step, values += 3 * kLanes)
      for (int tap = 0; tap < 4; ++tap)
        for (int c = 0; c < C; ++c)
          for (int l = begin; l < end; ++l) values[c * kLanes + l] += weight_[tap][l] * T(frame[texel_[tap][l] + c]);
  }

  AVSA_HD void set_lane(int l, const Taps<T>& taps, T weight) {
    for (int tap = 0; tap < 4; ++tap) {
      texel_[tap][l] = taps.texel[tap];
      weight_[tap][l] = weight * taps.weight[tap];
    }
  }

  AVSA_HD void set_erp(const Plane& plane, const T* u, const T* v, const T* weights) {
    const int W = int(plane.W), H = int(plane.H), step = int(plane.row_step);
    const std::int32_t last = last_pair(plane);
    std::int32_t edge[kLanes], edges = 0;  // texels beyond the frame's edge
#pragma omp simd reduction(| : edges)
    for (int l = 0; l < kLanes; ++l) {
      const T left = std::floor(u[l]), top = std::floor(v[l]);
      const T right = u[l] - left, down = v[l] - top;
      const int i = int(left), j = int(top);
      const std::int32_t begin = j * step + C * i;
      edge[l] = int(i < 0) | int(i >= W - 1) | int(j < 0) | int(j >= H - 1);
      edges |= edge[l] | int(begin + step > last);
      texel_[0][l] = pair_[0][l] = begin;
      texel_[1][l] = begin + C;
      texel_[2][l] = pair_[1][l] = begin + step;
      texel_[3][l] = begin + step + C;
      weight_[0][l] = weights[l] * ((1 - down) * (1 - right));
      weight_[1][l] = weights[l] * ((1 - down) * right);
      weight_[2][l] = weights[l] * (down * (1 - right));
      weight_[3][l] = weights[l] * (down * right);
    }
    pairs_ = kAllLanes;
    const T bytes_per_pixel = std::fabs(u[1] - u[0]) * T(C * sizeof(In));
    lanes_per_line_ = bytes_per_pixel > 8 ? max(1, int(64 / bytes_per_pixel)) : 8;
    if (edges == 0) return;
    for (int l = 0; l < kLanes; ++l) {
      if (!edge[l]) continue;
      Taps<T> taps;
      taps.set_erp(plane, Point<T>{u[l], v[l]});
      set_lane(l, taps, weights[l]);
    }
    find_pairs(plane);
  }
};

}  // namespace avsa::gnomonic::AVSA_ISA
