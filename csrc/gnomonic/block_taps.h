// On the host: plain bilinear interpolation of a block of pixels.
#pragma once
#include <cstring>

#include "gnomonic/block.h"
#include "gnomonic/taps.h"

namespace avsa {

// Taps of a block's pixels, each with a share of the pixel. C: channels of the plane.
template <int C, class In, class T>
class BlockTaps {
  using Some = Lanes<T>;

 public:
  AVSA_HD void set(Source source, const Plane& plane, const BlockRays& block, const Rays<double>& rays, const T* column,
                   const T* row, const T* share) {
    if (source == Source::erp) {
      T u[kLanes], v[kLanes];
      for (int l = 0; l < kLanes; l += Some::kCount) {
        const Point<Some> p = erp_point(block.moved(rays, l, Some::load(column + l), Some::load(row + l)), plane);
        p.u.store(u + l);
        p.v.store(v + l);
      }
      for (int l = 0; l < kLanes; ++l) {
        Taps<T> taps;
        taps.set_erp(plane, Point<T>{u[l], v[l]});
        put(l, taps, share[l]);
      }
    } else {
      for (int l = 0; l < kLanes; ++l) {
        Taps<T> taps;
        taps.set_eac(plane, cast<T>(rays.at(block.at(l), column[l], row[l])));
        put(l, taps, share[l]);
      }
    }
    const std::int64_t last = (plane.H - 1) * plane.row_step + C * plane.W - std::int64_t(sizeof(std::uint64_t));
    paired_ = sizeof(In) == 1;
    for (int l = 0; l < kLanes; ++l) {
      for (int tap = 0; tap < 4; tap += 2)
        paired_ = paired_ && texel_[tap + 1][l] == texel_[tap][l] + C && texel_[tap][l] <= last;
    }
  }

  // Asks the memory for a frame's texels.
  AVSA_HD void fetch(const In* frame) const {
    for (int l = 0; l < kLanes; ++l) {
      __builtin_prefetch(frame + texel_[0][l]);
      __builtin_prefetch(frame + texel_[2][l]);
    }
  }

  AVSA_HD void add(const In* frame, T (*values)[kLanes]) const {
    if constexpr (sizeof(In) == 1) {
      if (paired_) {
        for (int l = 0; l < kLanes; l += kPixels) add_pairs(frame, l, values);
        return;
      }
    }
    for (int tap = 0; tap < 4; ++tap)
      for (int c = 0; c < C; ++c)
        for (int l = 0; l < kLanes; ++l) values[c][l] += weight_[tap][l] * T(frame[texel_[tap][l] + c]);
  }

 private:
  static constexpr int kPixels = 8;
  typedef std::uint64_t Pairs __attribute__((vector_size(32)));
  typedef std::int32_t Words __attribute__((vector_size(32)));
  typedef T Numbers __attribute__((vector_size(kPixels * sizeof(T))));

  std::int32_t texel_[4][kLanes];
  T weight_[4][kLanes];
  bool paired_;  // each pair of texels comes in one load

  AVSA_HD void put(int l, const Taps<T>& taps, T share) {
    for (int tap = 0; tap < 4; ++tap) {
      texel_[tap][l] = taps.texel[tap];
      weight_[tap][l] = share * taps.weight[tap];
    }
  }

  // kPixels pixels whose texels lie side by side in twos.
  AVSA_HD void add_pairs(const std::uint8_t* frame, int l, T (*values)[kLanes]) const {
    Numbers sum[C];
    for (int c = 0; c < C; ++c) std::memcpy(&sum[c], values[c] + l, sizeof(Numbers));
    for (int tap = 0; tap < 4; tap += 2) {
      const std::int32_t* at = texel_[tap] + l;
      const Pairs some{pair(frame + at[0]), pair(frame + at[1]), pair(frame + at[2]), pair(frame + at[3])};
      const Pairs more{pair(frame + at[4]), pair(frame + at[5]), pair(frame + at[6]), pair(frame + at[7])};
      const Words low = __builtin_shuffle(Words(some), Words(more), Words{0, 2, 4, 6, 8, 10, 12, 14});
      const Words high = __builtin_shuffle(Words(some), Words(more), Words{1, 3, 5, 7, 9, 11, 13, 15});
      Numbers left, right;
      std::memcpy(&left, weight_[tap] + l, sizeof left);
      std::memcpy(&right, weight_[tap + 1] + l, sizeof right);
      for (int c = 0; c < C; ++c) {
        Numbers here, beside;
        bytes(low, high, c, here);
        bytes(low, high, C + c, beside);
        sum[c] += left * here + right * beside;
      }
    }
    for (int c = 0; c < C; ++c) std::memcpy(values[c] + l, &sum[c], sizeof(Numbers));
  }

  // The bytes at a place of each pair.
  AVSA_HD static void bytes(const Words& low, const Words& high, int place, Numbers& to) {
    to = __builtin_convertvector((place < 4 ? low : high) >> 8 * (place % 4) & 255, Numbers);
  }

  AVSA_HD static std::uint64_t pair(const std::uint8_t* from) {
    std::uint64_t pair;
    std::memcpy(&pair, from, sizeof pair);
    return pair;
  }
};

}  // namespace avsa
