// On the host: values of a block of pixels in some frames of a plane, by the weights of chunks or of taps.
#pragma once
#include "gnomonic/block_taps.h"
#include "gnomonic/chunk_sums.h"
#include "gnomonic/chunks.h"

namespace avsa {

constexpr int kAhead = 8;   // pixels whose texels the memory is asked for before they are read
constexpr int kFrames = 8;  // frames that share the weights of a block

template <class T>
struct Block {
  T values[kFrames][3][kLanes];
};

// Weighted sums of a lane's chunks in `count` frames from `first` on. size: elements from a frame's first to its end.
template <int count, class In, class T>
AVSA_HD void sum_chunks(const In* first, std::int64_t frame_step, std::int64_t size, const Chunks<T>& chunks, int l,
                        T (&sums)[count][kWide]) {
  const int begin = chunks.first[l], end = chunks.first[l + 1];
  if constexpr (sizeof(In) == 1) {
    if (!chunks.past_end[l]) {
      const T* weights = chunks.weights.data() + std::size_t(begin) * kWide;
      chunk_sums<count>(first, frame_step, chunks.begin.data() + begin, weights, end - begin, chunks.ahead(l, kAhead),
                        sums[0]);
      return;
    }
  }
  std::fill_n(sums[0], count * kWide, T(0));
  for (int n = begin; n < end; ++n) {
    const T* weights = chunks.weights.data() + std::size_t(n) * kWide;
    for (int f = 0; f < count; ++f) {
      const In* from = first + f * frame_step + chunks.begin[n];
      In last[kWide] = {};
      if (chunks.past_end[l]) {
        std::copy_n(from, std::min<std::int64_t>(kWide, size - chunks.begin[n]), last);
        from = last;
      }
      AVSA_LANES
      for (int i = 0; i < kWide; ++i) {
        // What is beside a pixel's texels need not be finite.
        sums[f][i] += weights[i] != 0 ? weights[i] * T(from[i]) : T(0);
      }
    }
  }
}

// Adds a lane's means in `count` frames to channels of `values`. C: channels of the plane.
template <int C, int count, class In, class T>
AVSA_HD void add_chunks(const In* first, std::int64_t frame_step, std::int64_t size, const Chunks<T>& chunks, int l,
                        int channel, T (*values)[3][kLanes]) {
  T sums[count][kWide];
  sum_chunks(first, frame_step, size, chunks, l, sums);
  for (int f = 0; f < count; ++f)
    for (int c = 0; c < C; ++c) {
      T sum = 0;
      for (int i = c; i < C * kChunkTexels<C>; i += C) sum += sums[f][i];
      values[f][channel + c][l] += sum;
    }
}

// The parts that a block's pixels are sampled in: on_chunks(), or on_taps(right, down, share), arrays [kLanes].
template <int C, class T, class OnChunks, class OnTaps>
AVSA_HD void each_part(const GnomonicView& view, const Plane& plane, const BlockRays& block, const Rays<double>& rays,
                       Chunks<T>& chunks, const OnChunks& on_chunks, const OnTaps& on_taps) {
  if (view.source == Source::erp && view.antialias) {
    const int aside = chunks.begin_block(block, rays);
    for (int row = -aside; row <= aside; ++row)
      for (int column = -aside; column <= aside; ++column) {
        chunks.template set<C>(block, rays, plane, column, row);
        on_chunks();
      }
    return;
  }
  T columns[kLanes], rows[kLanes], most = 1;
  for (int l = 0; l < kLanes; ++l) {
    columns[l] = view.antialias ? eac_cells(cast<T>(block.at(l)), cast<T>(rays.right), plane) : T(1);
    rows[l] = view.antialias ? eac_cells(cast<T>(block.at(l)), cast<T>(rays.down), plane) : T(1);
    most = std::max(most, std::max(columns[l], rows[l]));
  }
  const int aside = cells_aside(double(most));
  for (int row = -aside; row <= aside; ++row)
    for (int column = -aside; column <= aside; ++column) {
      T right[kLanes], down[kLanes], share[kLanes];
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) {
        const Cell<T> along(columns[l], column), across(rows[l], row);
        right[l] = along.middle;
        down[l] = across.middle;
        share[l] = along.share * across.share;
      }
      on_taps(right, down, share);
    }
}

// Adds a block's values in `frames` frames of a plane, from the first, to the channels from `channel` on.
template <int C, class In, class T>
AVSA_HD void add_plane(const GnomonicView& view, const Plane& plane, const BlockRays& block, const Rays<double>& rays,
                       const In* first, int frames, int channel, Chunks<T>& chunks, Block<T>& out) {
  const std::int64_t size = (plane.H - 1) * plane.row_step + C * plane.W;
  bool chunked = false;
  each_part<C>(
      view, plane, block, rays, chunks,
      [&]() __attribute__((always_inline)) {
        chunked = true;
        for (int l = 0; l < kLanes; ++l) {
          int f = 0;
          for (; f + kTogether <= frames; f += kTogether)
            add_chunks<C, kTogether>(first + f * plane.frame_step, plane.frame_step, size, chunks, l, channel,
                                     out.values + f);
          for (; f < frames; ++f)
            add_chunks<C, 1>(first + f * plane.frame_step, plane.frame_step, size, chunks, l, channel, out.values + f);
        }
      },
      [&](const T* right, const T* down, const T* share) __attribute__((always_inline)) {
        BlockTaps<C, In, T> taps;
        taps.set(view.source, plane, block, rays, right, down, share);
        for (int f = 0; f < frames; ++f) taps.fetch(first + f * plane.frame_step);
        for (int f = 0; f < frames; ++f) taps.add(first + f * plane.frame_step, out.values[f] + channel);
      });
  if (!chunked) return;
  for (int f = 0; f < frames; ++f)
    for (int c = channel; c < channel + C; ++c) {
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) out.values[f][c][l] /= chunks.total[l];
    }
}

}  // namespace avsa
