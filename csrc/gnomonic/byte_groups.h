// On the host: the weights of a block of pixels on an equirectangular plane of bytes, as whole numbers, in groups of
// texels that each frame is then read in.
#pragma once
#include <cstring>

#include "gnomonic/byte_sums.h"
#include "gnomonic/rows.h"

namespace avsa {

// N: numbers that formulas take at a time.
template <int N>
class ByteGroups {
 public:
  using Real = float;
  static constexpr int kAtOnce = N;
  std::vector<Group> groups;
  int first[kLanes + 1];  // of a lane's groups
  float step[kLanes];     // what 1 in a lane's weights stands for
  float total[kLanes];    // of a lane's weights in all cells so far

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
    const std::size_t room = std::size_t(rows_.texels() / kWide + rows_.parts(plane));
    if (groups.size() < room) groups.resize(2 * room);
    Group* group = groups.data();
    for (int l = 0; l < kLanes; ++l) {
      first[l] = int(group - groups.data());
      step[l] = rows_.heaviest[l] * (1.0f / kMostWeight);
      const Some units(rows_.heaviest[l] > 0 ? 1 / step[l] : 0.0f);
      Some sum(0.0);
      rows_.template each_group<C, kWide>(
          plane, first_frame, frames, l,
          [&](int begin, int texels, const auto& weights) __attribute__((always_inline)) {
            group->begin = begin;
            group->texels = texels;
            for (int i = 0; i < kWide; i += N) sum = sum + split(texels > i ? weights(i) * units : Some(0.0), group, i);
            ++group;
          });
      total[l] += step[l] * sum.sum();
    }
    first[kLanes] = int(group - groups.data());
  }

 private:
  using Some = Lanes<float, N>;
  using Whole = Lanes<std::int32_t, N>;
  using Bytes = Lanes<std::int8_t, N>;

  Rows<float, N> rows_;

  // Rounds weights and stores them; returns them rounded.
  AVSA_HD static Some split(const Some& weights, Group* to, int at) {
    const Whole whole(weights + Some(0.5));
    Bytes((whole + Whole(128)) >> 8).store(to->high + at);
    Bytes(whole).store(to->low + at);  // their last 8 bits, as a number from -128 on
    return Some(whole);
  }
};

}  // namespace avsa
