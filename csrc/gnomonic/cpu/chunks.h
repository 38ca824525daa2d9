// On the host: the weights of a block of pixels on an equirectangular plane of floats, in chunks that each frame is
// then read in.
#pragma once
#include <cstring>
#include <type_traits>

#include "gnomonic/cpu/rows.h"

namespace avsa::gnomonic {

// As many texels side by side as fit into kWide elements. C: channels of the plane.
template <int C>
constexpr int kChunkTexels = kWide / C;
// Texels that are weighted together: whole chunks.
template <int C>
constexpr int kGroupTexels = kWide / kChunkTexels<C> * kChunkTexels<C>;

template <class T>
class Chunks {
 public:
  using Real = T;
  static constexpr int kAtOnce = 8;
  std::vector<std::int32_t> begin;  // elements from the frame's first
  std::vector<T> weights;           // [chunks, kWide]; 0 for elements that are none of the pixel's
  int first[kLanes], last[kLanes];  // of a lane's chunks: the first, and the one after the last
  T total[kLanes];                  // of a lane's weights in all cells so far

  // Begins a block. Returns the cells on either side of a pixel's middle one, in any lane.
  AVSA_HD int begin_block(const BlockRays& block, const Rays<double>& rays) {
    std::fill_n(total, kLanes, T(0));
    return rows_.begin_block(block, rays);
  }

  // Of cell (column, row) of each pixel.
  template <int C>
  AVSA_HD void set(const BlockRays& block, const Rays<double>& rays, const Plane& plane, int column, int row,
                   const T* first_frame, int frames) {
    rows_.template set<C>(block, rays, plane, column, row);
    const int most = rows_.groups_a_lane(plane, kGroupTexels<C>) * (kGroupTexels<C> / kChunkTexels<C>);
    const std::size_t room = std::size_t(most) * kLanes;
    if (begin.size() < room) {
      begin.resize(2 * room);
      weights.resize(2 * room * kWide);
    }
    for (int l = 0; l < kLanes; ++l) first[l] = last[l] = l * most;
    const auto take = [&](int l, int from, int texels, const auto& weights_at) __attribute__((always_inline)) {
      T w[kWide];
      for (int i = 0; i < kWide; i += kAtOnce) weights_at(i).store(w + i);
      for (int i = 0; i < texels; ++i) total[l] += w[i];
      for (int n = 0; n < texels; n += kChunkTexels<C>) {
        begin[last[l]] = from + C * n;
        // Each texel's weight for its channels.
        T* to = weights.data() + std::size_t(last[l]++) * kWide;
        for (int i = 0; i < kWide; ++i) {
          const bool inside = i < C * kChunkTexels<C> && n + i / C < texels;
          to[i] = inside ? w[n + i / C] : T(0);
        }
      }
    };
    rows_.template each_group<C, kGroupTexels<C>>(plane, first_frame, frames, take);
  }

 private:
  Rows<T, kAtOnce> rows_;
};

}  // namespace avsa::gnomonic
