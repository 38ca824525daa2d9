// On the host: the weights of a block of pixels on an equirectangular plane of bytes, as whole numbers, in groups of
// texels that each frame is then read in.
#pragma once
#include <cstring>

#include "gnomonic/byte_sums.h"
#include "gnomonic/rows.h"

namespace avsa {

class ByteGroups {
 public:
  using Real = float;
  std::vector<Group> groups;  // and kAhead more
  int first[kLanes + 1];      // of a lane's groups
  float step[kLanes];         // what 1 in a lane's weights stands for
  float total[kLanes];        // of a lane's weights in all cells so far

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin_block(const BlockRays& block, const Rays<double>& rays) {
    std::fill_n(total, kLanes, 0.0f);
    return rows_.begin_block(block, rays);
  }

  // Of cell (column, row) of each pixel.
  template <int C>
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row) {
    rows_.set(block, rays, plane, column, row);
    const std::size_t room = std::size_t(rows_.texels() / kWide + rows_.parts(plane)) + kAhead;
    if (groups.size() < room) groups.resize(2 * room);
    Group* group = groups.data();
    for (int l = 0; l < kLanes; ++l) {
      first[l] = int(group - groups.data());
      step[l] = rows_.heaviest[l] * (1.0f / kMostWeight);
      const Some units(rows_.heaviest[l] > 0 ? 1 / step[l] : 0.0f);
      Some sum(0.0);
      rows_.template each_group<C, kWide>(
          plane, l, [&](int begin, int texels, const auto& weights) __attribute__((always_inline)) {
            group->begin = begin;
            group->texels = texels;
            sum = sum + split(weights(0) * units, group, 0);
            sum = sum + split(texels > Some::kCount ? weights(Some::kCount) * units : Some(0.0), group, Some::kCount);
            ++group;
          });
      total[l] += step[l] * sum.sum();
    }
    first[kLanes] = int(group - groups.data());
    for (int n = 0; n < kAhead; ++n) group[n] = group[-1];
  }

 private:
  using Some = Lanes<float>;
  typedef std::int32_t Whole __attribute__((vector_size(Some::kCount * sizeof(std::int32_t))));
  typedef std::int8_t Bytes __attribute__((vector_size(Some::kCount)));

  Rows<float> rows_;

  // Rounds weights and stores them; returns them rounded.
  AVSA_HD static Some split(const Some& weights, Group* to, int at) {
    const Whole whole = __builtin_convertvector((weights + Some(0.5)).v, Whole);
    const Bytes high = __builtin_convertvector((whole + 128) >> 8, Bytes);
    const Bytes low = __builtin_convertvector(whole, Bytes);  // their last 8 bits, as a number from -128 on
    std::memcpy(to->high + at, &high, sizeof high);
    std::memcpy(to->low + at, &low, sizeof low);
    Some rounded;
    rounded.v = __builtin_convertvector(whole, Some::Vector);
    return rounded;
  }
};

}  // namespace avsa
