// On the host: the weights of a block of pixels on an equirectangular plane of bytes, as whole numbers, in groups of
// texels that each frame is then read in.
#pragma once
#include <cstring>

#include "gnomonic/cpu/byte_sums.h"
#include "gnomonic/cpu/rows.h"

namespace avsa::gnomonic {

// N: numbers that formulas take at a time.
template <int N>
class ByteGroups {
 public:
  using Real = float;
  static constexpr int kAtOnce = N;
  std::vector<Group> groups;
  int first[kLanes], last[kLanes];  // of a lane's groups: the first, and the one after the last
  float step[kLanes];               // what 1 in a lane's weights stands for
  float total[kLanes];              // of a lane's weights in all cells so far

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin_block(const BlockRays& block, const Rays<double>& rays) {
    std::fill_n(total, kLanes, 0.0f);
    return rows_.begin_block(block, rays);
  }

  // Of cell (column, row) of each pixel.
  template <int C>
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row,
                   const std::uint8_t* first_frame, int frames) {
    rows_.template set<C>(block, rays, plane, column, row);
    const int most = rows_.groups_a_lane(plane, kWide);
    if (groups.size() < std::size_t(most) * kLanes) groups.resize(2 * std::size_t(most) * kLanes);
    float units[kLanes];
    Some sums[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      first[l] = last[l] = l * most;
      step[l] = rows_.heaviest[l] * (1.0f / kMostWeight);
      units[l] = rows_.heaviest[l] > 0 ? 1 / step[l] : 0.0f;
      sums[l] = Some(0.0);
    }
    rows_.template each_group<C, kWide>(
        plane, first_frame, frames,
        [&](int l, int begin, int texels, const auto& weights) __attribute__((always_inline)) {
          Group& group = groups.data()[last[l]++];
          group.begin = begin;
          group.texels = texels;
          for (int i = 0; i < kWide; i += N)
            sums[l] = sums[l] + split(texels > i ? weights(i) * Some(units[l]) : Some(0.0), group, i);
        });
    for (int l = 0; l < kLanes; ++l) total[l] += step[l] * sums[l].sum();
  }

 private:
  using Some = Lanes<float, N>;
  using Whole = Lanes<std::int32_t, N>;
  using Bytes = Lanes<std::int8_t, N>;

  Rows<float, N> rows_;

  // Rounds weights and stores them; returns them rounded.
  AVSA_HD static Some split(const Some& weights, Group& to, int at) {
    const Whole whole(weights + Some(0.5));
    Bytes((whole + Whole(128)) >> 8).store(to.high + at);
    Bytes(whole).store(to.low + at);  // their last 8 bits, as a number from -128 on
    return Some(whole);
  }
};

}  // namespace avsa::gnomonic
