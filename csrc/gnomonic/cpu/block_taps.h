// On the host: plain bilinear interpolation of a block of pixels.
#pragma once
#include <algorithm>
#include <cstring>

#include "gnomonic/cpu/block.h"
#include "gnomonic/cpu/byte_taps.h"
#include "gnomonic/taps.h"

namespace avsa::gnomonic {

// Taps of a block's pixels, each with a share of the pixel. C: channels of the plane. N: pixels placed at a time.
template <int C, class In, class T, int N>
class BlockTaps {
  using Some = Lanes<T, N>;

 public:
  AVSA_HD void set(Source source, const Plane& plane, const BlockRays& block, const Rays<double>& rays, const T* column,
                   const T* row, const T* share) {
    if (source == Source::erp) {
      T u[kLanes], v[kLanes];
      for (int l = 0; l < kLanes; l += N) {
        const Point<Some> p = erp_point(block.moved(rays, l, Some::load(column + l), Some::load(row + l)), plane);
        p.u.store(u + l);
        p.v.store(v + l);
      }
      set_erp(plane, u, v, share);
      return;
    }
    for (int l = 0; l < kLanes; ++l) {
      Taps<T> taps;
      taps.set_eac(plane, cast<T>(rays.at(block.at(l), column[l], row[l])));
      put(l, taps, share[l]);
    }
    pair(plane);
  }

  // Asks the memory for a frame's texels: of so many lanes that hardly a line of memory is left out.
  AVSA_HD void fetch(const In* frame) const {
    for (int l = 0; l < kLanes; l += every_) {
      __builtin_prefetch(frame + texel_[0][l]);
      __builtin_prefetch(frame + texel_[2][l]);
    }
    __builtin_prefetch(frame + texel_[1][kLanes - 1]);
    __builtin_prefetch(frame + texel_[3][kLanes - 1]);
  }

  // Channels `channel`, ... of `values` become the values in `frames` frames, from the first, or grow by them: onto.
  AVSA_HD void read(const In* first, std::int64_t frame_step, int frames, int channel, bool onto,
                    T (*values)[3][kLanes]) const {
    std::uint32_t left = kAll;
    if constexpr (sizeof(In) == 1) {
      if (pairs_ != 0 &&
          byte_taps<C>(first, frame_step, frames, pair_[0], pair_[1], pairs_, weight_[0], onto, values[0][channel]))
        left = kAll & ~pairs_, onto = true;
    }
    if (!onto) {
      for (int f = 0; f < frames; ++f) std::memset(values[f][channel], 0, C * sizeof *values[f]);
    }
    if (left == kAll) return add(first, frame_step, frames, channel, values, 0, kLanes);
    for (; left != 0; left &= left - 1) {
      const int l = __builtin_ctz(left);
      add(first, frame_step, frames, channel, values, l, l + 1);
    }
  }

 private:
  static constexpr std::uint32_t kAll = (1u << kLanes) - 1;
  static constexpr int kPairBytes = 8;  // that are read at a time where two texels lie side by side

  std::int32_t texel_[4][kLanes];
  T weight_[4][kLanes];
  std::uint32_t pairs_;           // the lanes whose texels are read as pairs
  std::int32_t pair_[2][kLanes];  // places of them, for all lanes
  int every_ = 1;

  // The last place where a pair can be read.
  AVSA_HD static std::int32_t last_pair(const Plane& plane) {
    return std::int32_t((plane.H - 1) * plane.row_step + C * plane.W) - kPairBytes;
  }

  AVSA_HD void pair(const Plane& plane) {
    if constexpr (sizeof(In) != 1) return;
    const std::int32_t last = last_pair(plane);
    pairs_ = 0;
    for (int l = 0; l < kLanes; ++l) {
      const bool side_by_side = texel_[1][l] == texel_[0][l] + C && texel_[3][l] == texel_[2][l] + C;
      if (side_by_side && texel_[0][l] <= last && texel_[2][l] <= last) pairs_ |= 1u << l;
    }
    // Those of others may not be readable.
    const int some = pairs_ ? __builtin_ctz(pairs_) : 0;
    for (int l = 0; l < kLanes; ++l) {
      const int from = pairs_ >> l & 1 ? l : some;
      pair_[0][l] = texel_[0][from];
      pair_[1][l] = texel_[2][from];
    }
  }

  // Of lanes `begin` to `end`.
  AVSA_HD void add(const In* frame, std::int64_t frame_step, int frames, int channel, T (*values)[3][kLanes], int begin,
                   int end) const {
    for (int f = 0; f < frames; ++f, frame += frame_step)
      for (int tap = 0; tap < 4; ++tap)
        for (int c = 0; c < C; ++c)
          for (int l = begin; l < end; ++l) values[f][channel + c][l] += weight_[tap][l] * T(frame[texel_[tap][l] + c]);
  }

  AVSA_HD void put(int l, const Taps<T>& taps, T share) {
    for (int tap = 0; tap < 4; ++tap) {
      texel_[tap][l] = taps.texel[tap];
      weight_[tap][l] = share * taps.weight[tap];
    }
  }

  AVSA_HD void set_erp(const Plane& plane, const T* u, const T* v, const T* share) {
    const int W = int(plane.W), H = int(plane.H), step = int(plane.row_step);
    const std::int32_t last = last_pair(plane);
    std::int32_t edge[kLanes], edges = 0;
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
      weight_[0][l] = share[l] * ((1 - down) * (1 - right));
      weight_[1][l] = share[l] * ((1 - down) * right);
      weight_[2][l] = share[l] * (down * (1 - right));
      weight_[3][l] = share[l] * (down * right);
    }
    pairs_ = kAll;
    const T apart = std::fabs(u[1] - u[0]) * T(C * sizeof(In));  // bytes from a pixel's texels to the next one's
    every_ = apart > 8 ? std::max(1, int(64 / apart)) : 8;
    if (edges == 0) return;
    for (int l = 0; l < kLanes; ++l) {
      if (!edge[l]) continue;
      Taps<T> taps;
      taps.set_erp(plane, Point<T>{u[l], v[l]});
      put(l, taps, share[l]);
    }
    pair(plane);
  }
};

}  // namespace avsa::gnomonic
