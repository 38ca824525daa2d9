// On the host: plain bilinear interpolation of a block of pixels.
#pragma once
#include "gnomonic/block.h"
#include "gnomonic/byte_sums.h"
#include "gnomonic/taps.h"

namespace avsa {

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
    } else {
      for (int l = 0; l < kLanes; ++l) {
        Taps<T> taps;
        taps.set_eac(plane, cast<T>(rays.at(block.at(l), column[l], row[l])));
        put(l, taps, share[l]);
      }
    }
    // Where bytes come in pairs of texels, 8 at a time.
    const std::int32_t last = std::int32_t((plane.H - 1) * plane.row_step + C * plane.W) - 8;
    int others = sizeof(In) == 1 ? 0 : 1;
    for (int l = 0; l < kLanes; ++l) {
      others |= (texel_[1][l] - texel_[0][l] - C) | (texel_[3][l] - texel_[2][l] - C) | (texel_[0][l] > last) |
                (texel_[2][l] > last);
    }
    paired_ = others == 0;
  }

  // Asks the memory for a frame's texels.
  AVSA_HD void fetch(const In* frame) const {
    for (int l = 0; l < kLanes; ++l) {
      __builtin_prefetch(frame + texel_[0][l]);
      __builtin_prefetch(frame + texel_[2][l]);
    }
  }

  // Adds the values in `frames` frames, from the first, to channels `channel`, ... of `values`.
  AVSA_HD void add(const In* first, std::int64_t frame_step, int frames, int channel, T (*values)[3][kLanes]) const {
    if constexpr (sizeof(In) == 1) {
      if (paired_ && byte_taps<C>(first, frame_step, frames, texel_[0], texel_[2], weight_[0], values[0][channel]))
        return;
    }
    for (int f = 0; f < frames; ++f, first += frame_step)
      for (int tap = 0; tap < 4; ++tap)
        for (int c = 0; c < C; ++c)
          for (int l = 0; l < kLanes; ++l) values[f][channel + c][l] += weight_[tap][l] * T(first[texel_[tap][l] + c]);
  }

 private:
  std::int32_t texel_[4][kLanes];
  T weight_[4][kLanes];
  bool paired_;

  AVSA_HD void put(int l, const Taps<T>& taps, T share) {
    for (int tap = 0; tap < 4; ++tap) {
      texel_[tap][l] = taps.texel[tap];
      weight_[tap][l] = share * taps.weight[tap];
    }
  }

  AVSA_HD void set_erp(const Plane& plane, const T* u, const T* v, const T* share) {
    const int W = int(plane.W), H = int(plane.H), step = int(plane.row_step);
    int at_edge = 0;
    AVSA_LANES
    for (int l = 0; l < kLanes; ++l) {
      const T left = std::floor(u[l]), top = std::floor(v[l]);
      const T right = u[l] - left, down = v[l] - top;
      const int i = int(left), j = int(top);
      at_edge |= int(i < 0) | int(i >= W - 1) | int(j < 0) | int(j >= H - 1);
      const std::int32_t begin = j * step + C * i;
      texel_[0][l] = begin;
      texel_[1][l] = begin + C;
      texel_[2][l] = begin + step;
      texel_[3][l] = begin + step + C;
      weight_[0][l] = share[l] * ((1 - down) * (1 - right));
      weight_[1][l] = share[l] * ((1 - down) * right);
      weight_[2][l] = share[l] * (down * (1 - right));
      weight_[3][l] = share[l] * (down * right);
    }
    if (!at_edge) return;
    for (int l = 0; l < kLanes; ++l) {
      Taps<T> taps;
      taps.set_erp(plane, Point<T>{u[l], v[l]});
      put(l, taps, share[l]);
    }
  }
};

}  // namespace avsa
