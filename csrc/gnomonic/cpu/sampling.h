// On the host: values of a tile of pixels in some frames of a plane, by the weights of footprints or of taps.
#pragma once
#include "gnomonic/colour.h"
#include "gnomonic/cpu/block_taps.h"
#include "gnomonic/cpu/byte_groups.h"
#include "gnomonic/cpu/chunks.h"

namespace avsa::gnomonic {

constexpr int kFrames = kMostFrames;  // frames that share the weights of a block
constexpr int kBlocks = int(kTile) / kLanes;

template <class T>
struct Block {
  T values[kFrames][3][kLanes];
};

// Adds a block's weighted sums in `frames` frames to channels `channel`, ... C: channels of the plane.
template <int C, int N>
AVSA_HD void add_footprints(const ByteGroups<N>& groups, const Plane& plane, const std::uint8_t* first, int frames,
                            int channel, Block<float>& out) {
  byte_sums<C>(first, plane.frame_step, (plane.H - 1) * plane.row_step + C * plane.W, frames, groups.groups.data(),
               groups.first, groups.last, groups.step, out.values[0][channel]);
}

template <int C, class T>
AVSA_HD void add_footprints(const Chunks<T>& chunks, const Plane& plane, const T* first, int frames, int channel,
                            Block<T>& out) {
  const std::int64_t size = (plane.H - 1) * plane.row_step + C * plane.W;
  for (int l = 0; l < kLanes; ++l)
    for (int f = 0; f < frames; ++f) {
      const T* frame = first + f * plane.frame_step;
      T sums[kWide] = {};
      for (int n = chunks.first[l]; n < chunks.last[l]; ++n) {
        const T* weights = chunks.weights.data() + std::size_t(n) * kWide;
        const T* from = frame + chunks.begin[n];
        T last[kWide] = {};
        if (size - chunks.begin[n] < kWide) from = std::copy_n(from, size - chunks.begin[n], last), from = last;
        AVSA_LANES
        for (int i = 0; i < kWide; ++i) {
          // What is beside a pixel's texels need not be finite.
          sums[i] += weights[i] != 0 ? weights[i] * from[i] : T(0);
        }
      }
      for (int c = 0; c < C; ++c)
        for (int i = c; i < C * kChunkTexels<C>; i += C) out.values[f][channel + c][l] += sums[i];
    }
}

// What 1 in a frame stands for.
template <class In, class T>
constexpr T kScale = sizeof(In) == 1 ? T(1.0 / 255) : T(1);

// The parts that a block's pixels are sampled in: on_footprints(), or on_taps(right, down, share), arrays [kLanes].
template <int C, class In, class Weights, class OnFootprints, class OnTaps>
AVSA_HD void each_part(const GnomonicView& view, const Plane& plane, const BlockRays& block, const Rays<double>& rays,
                       const In* first, int frames, Weights& weights, const OnFootprints& on_footprints,
                       const OnTaps& on_taps) {
  using T = typename Weights::Real;
  if (view.source == Source::erp && view.antialias) {
    const int aside = weights.begin_block(block, rays);
    for (int row = -aside; row <= aside; ++row)
      for (int column = -aside; column <= aside; ++column) {
        weights.template set<C>(block, rays, plane, column, row, first, frames);
        on_footprints();
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
        share[l] = kScale<In, T> * along.share * across.share;
      }
      on_taps(right, down, share);
    }
}

// Interpolates, without antialiasing. The memory is asked for all texels before the first is read.
template <int N, int C, class In, class T>
AVSA_HD void read_plain(const GnomonicView& view, const Plane& plane, const Rays<double>& rays, const In* first,
                        int frames, std::int64_t pixel, int blocks, int channel, Block<T>* out) {
  T none[kLanes] = {}, all[kLanes];
  std::fill_n(all, kLanes, kScale<In, T>);
  BlockTaps<C, In, T, N> taps[kBlocks];
  for (int n = 0; n < blocks; ++n) {
    BlockRays block;
    block.set(view, rays, pixel + n * kLanes);
    taps[n].set(view.source, plane, block, rays, none, none, all);
    for (int f = 0; f < frames; ++f) taps[n].fetch(first + f * plane.frame_step);
  }
  for (int n = 0; n < blocks; ++n) taps[n].read(first, plane.frame_step, frames, channel, false, out[n].values);
}

// Adds the values of `blocks` blocks from `pixel` on in `frames` frames of a plane, from the first, to channels
// `channel`, ...; without antialiasing, they become these values. C: channels of the plane.
template <int C, class In, class Weights, class T>
AVSA_HD void add_plane(const GnomonicView& view, const Plane& plane, const Rays<double>& rays, const In* first,
                       int frames, std::int64_t pixel, int blocks, int channel, Weights& weights, Block<T>* out) {
  constexpr int N = Weights::kAtOnce;
  if (!view.antialias) return read_plain<N, C>(view, plane, rays, first, frames, pixel, blocks, channel, out);
  for (int n = 0; n < blocks; ++n, pixel += kLanes, ++out) {
    BlockRays block;
    block.set(view, rays, pixel);
    each_part<C>(
        view, plane, block, rays, first, frames, weights,
        [&]() __attribute__((always_inline)) { add_footprints<C>(weights, plane, first, frames, channel, *out); },
        [&](const T* right, const T* down, const T* share) __attribute__((always_inline)) {
          BlockTaps<C, In, T, N> taps;
          taps.set(view.source, plane, block, rays, right, down, share);
          taps.read(first, plane.frame_step, frames, channel, true, out->values);
        });
    if (view.source != Source::erp) continue;
    T inverse[kLanes];
    for (int l = 0; l < kLanes; ++l) inverse[l] = kScale<In, T> / weights.total[l];
    for (int f = 0; f < frames; ++f)
      for (int c = channel; c < channel + C; ++c) {
        AVSA_LANES
        for (int l = 0; l < kLanes; ++l) out->values[f][c][l] *= inverse[l];
      }
  }
}

// Values within [0, 1] of some blocks of pixels in `frames` frames.
template <class In, class Weights, class T>
AVSA_HD void sample_any(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame,
                        int frames, std::int64_t pixel, int blocks, Weights& weights, Block<T>* out) {
  if (task.view.antialias) std::memset(out, 0, blocks * sizeof *out);
  for (int p = 0, channel = 0; p < task.planes; channel += int(task.plane[p].channels), ++p) {
    const Plane& plane = task.plane[p];
    const In* first = static_cast<const In*>(plane.data) + clip * plane.clip_step + first_frame * plane.frame_step;
    if (plane.channels == 3) {
      add_plane<3>(task.view, plane, rays, first, frames, pixel, blocks, channel, weights, out);
    } else if constexpr (sizeof(In) == 1) {  // YUV planes hold bytes
      plane.channels == 2 ? add_plane<2>(task.view, plane, rays, first, frames, pixel, blocks, channel, weights, out)
                          : add_plane<1>(task.view, plane, rays, first, frames, pixel, blocks, channel, weights, out);
    }
  }
  if (task.planes == 1) return;
  for (int n = 0; n < blocks; ++n)
    for (int f = 0; f < frames; ++f) {
      T(&v)[3][kLanes] = out[n].values[f];
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) {
        const Colour<T> colour = from_yuv(task.yuv, Colour<T>{v[0][l], v[1][l], v[2][l]});
        v[0][l] = colour.red;
        v[1][l] = colour.green;
        v[2][l] = colour.blue;
      }
    }
}

// Floats that formulas take at a time.
template <Isa isa>
constexpr int kFloats = isa >= Isa::avx512 ? 16 : 8;

// The same of bytes, compiled for an instruction set: baseline and, with AVSA_HAS_CLONES, avx2 and avx512.
template <Isa isa>
void sample_bytes(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame,
                  int frames, std::int64_t pixel, int blocks, ByteGroups<kFloats<isa>>& weights, Block<float>* out);

}  // namespace avsa::gnomonic
