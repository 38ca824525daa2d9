// The forward kernel of the host, for frames of type In: samples all crops tile by tile, then jitters, normalises and
// stores them. Instantiated by forward_bytes.*.cpp and forward_floats.simd.cpp, called through gnomonic.cpp.
#pragma once
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/half.h"
#include "gnomonic/colour.h"
#include "gnomonic/cpu/bilinear.h"
#include "gnomonic/cpu/weights.h"

namespace avsa::gnomonic::AVSA_ISA {

constexpr int kTileBlocks = int(kTile) / kLanes;
constexpr std::int64_t kBandTiles = 8;  // tiles of a crop that a thread processes at a time

// Some pixels of a crop, in reading order, in some frames.
struct Tile {
  std::int64_t crop, index, first_pixel, first_frame;
  int pixels, frames;  // at most kTile and kMaxFrames

  AVSA_HD Tile(const GnomonicView& view, std::int64_t crop, std::int64_t index, std::int64_t first_frame)
      : crop(crop),
        index(index),
        first_pixel(index * kTile),
        first_frame(first_frame),
        pixels(int(std::min(view.h * view.w - first_pixel, kTile))),
        frames(int(std::min<std::int64_t>(view.F - first_frame, kMaxFrames))) {}

  AVSA_HD int blocks() const { return (pixels + kLanes - 1) / kLanes; }
};

// The colours of a block's pixels, within [0, 1].
template <class T>
struct BlockColours {
  T values[kMaxFrames][3][kLanes];
};

// Interpolates at the pixels' rays. All texels are prefetched before the first one is read.
template <int C, class In, class T>
void sample_rays(const GnomonicView& view, const Plane& plane, const Rays<double>& rays, const Tile& tile,
                 const FrameView<In>& frames, int channel, BlockColours<T>* out) {
  T zeros[kLanes] = {}, scale[kLanes];
  std::fill_n(scale, kLanes, kScale<In, T>);
  BlockTaps<C, In, T> taps[kTileBlocks];
  for (int n = 0; n < tile.blocks(); ++n) {
    const PixelBlock block(view, rays, tile.first_pixel + n * kLanes);
    taps[n].set(view, plane, block, rays, zeros, zeros, scale);
    taps[n].prefetch(frames);
  }
  for (int n = 0; n < tile.blocks(); ++n) taps[n].read(frames, false, out[n].values[0][channel]);
}

// Adds the means over the footprints of a block's pixels on an ERP plane.
template <int C, class In, class T>
void add_footprints(const Plane& plane, const Rays<double>& rays, const PixelBlock& block, const FrameView<In>& frames,
                    int channel, Weights<In>& weights, BlockColours<T>& out) {
  weights.template compute<C>(plane, block, rays, frames, [&]() __attribute__((always_inline)) {
    weights.template add_sums<C>(frames, out.values[0][channel]);
  });
  T scale[kLanes];
  for (int l = 0; l < kLanes; ++l) scale[l] = kScale<In, T> / weights.total[l];
  for (int f = 0; f < frames.frames; ++f)
    for (int c = channel; c < channel + C; ++c) {
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) out.values[f][c][l] *= scale[l];
    }
}

// Adds the means over the cells of a block's pixels on an EAC plane.
template <int C, class In, class T>
void add_cells(const GnomonicView& view, const Plane& plane, const Rays<double>& rays, const PixelBlock& block,
               const FrameView<In>& frames, int channel, BlockColours<T>& out) {
  const auto add = [&](const T* columns, const T* rows, const T* weights) __attribute__((always_inline)) {
    BlockTaps<C, In, T> taps;
    taps.set(view, plane, block, rays, columns, rows, weights);
    taps.read(frames, true, out.values[0][channel]);
  };
  each_cell_centre<In, T>(view, plane, block, rays, add);
}

// Samples a plane's C channels as channels `channel`, ... of the colours.
template <int C, class In, class T>
void sample_plane(const GnomonicView& view, const Plane& plane, const Rays<double>& rays, const Tile& tile, int channel,
                  Weights<In>& weights, BlockColours<T>* out) {
  const FrameView<In> frames(plane, tile.crop / view.K, tile.first_frame, tile.frames);
  if (!view.antialias) return sample_rays<C>(view, plane, rays, tile, frames, channel, out);
  for (int n = 0; n < tile.blocks(); ++n) {
    const PixelBlock block(view, rays, tile.first_pixel + n * kLanes);
    view.source == Source::erp ? add_footprints<C>(plane, rays, block, frames, channel, weights, out[n])
                               : add_cells<C>(view, plane, rays, block, frames, channel, out[n]);
  }
}

// Clamps the colours of byte frames to [0, 1]: at the edges of an EAC plane's faces, they are extrapolated.
template <class T>
void clamp_tile(const Tile& tile, BlockColours<T>* out) {
  for (int n = 0; n < tile.blocks(); ++n)
    for (int f = 0; f < tile.frames; ++f)
      for (T(&values)[kLanes] : out[n].values[f]) {
        AVSA_LANES
        for (int l = 0; l < kLanes; ++l) values[l] = clamp(values[l], T(0), T(1));
      }
}

// Samples a tile. out: [tile.blocks()].
template <class In, class T>
void sample_tile(const Gnomonic& task, const Rays<double>& rays, const Tile& tile, Weights<In>& weights,
                 BlockColours<T>* out) {
  const GnomonicView& view = task.view;
  if (view.antialias) std::memset(out, 0, tile.blocks() * sizeof *out);
  if (task.planes == 1) sample_plane<3>(view, task.plane[0], rays, tile, 0, weights, out);
  if constexpr (sizeof(In) == 1) {  // YUV planes hold bytes
    if (task.planes == 1) {
      if (view.source == Source::eac) clamp_tile(tile, out);
      return;
    }
    sample_plane<1>(view, task.plane[0], rays, tile, 0, weights, out);
    if (task.planes == 2) {
      sample_plane<2>(view, task.plane[1], rays, tile, 1, weights, out);
    } else {
      for (int p = 1; p < 3; ++p) sample_plane<1>(view, task.plane[p], rays, tile, p, weights, out);
    }
    for (int n = 0; n < tile.blocks(); ++n)
      for (int f = 0; f < tile.frames; ++f) {
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
}

// Calls visit with the output, as an array of its type.
template <class Visit>
AVSA_HD void with_out(const Gnomonic& task, const Visit& visit) {
  switch (task.out_dtype) {
    case Dtype::uint8:
      return visit(static_cast<std::uint8_t*>(task.out));
    case Dtype::float16:
      return visit(static_cast<Float16*>(task.out));
    case Dtype::bfloat16:
      return visit(static_cast<Bfloat16*>(task.out));
    case Dtype::float32:
      return visit(static_cast<float*>(task.out));
    default:  // float64
      return visit(static_cast<double*>(task.out));
  }
}

// Normalises `count` values of a channel and stores them.
template <class Out, class T>
AVSA_HD void store(const T (&values)[kLanes], T gain, T bias, int count, Out* out) {
  Out narrowed[kLanes];
  AVSA_LANES
  for (int l = 0; l < kLanes; ++l) narrow(gain * values[l] + bias, narrowed[l]);
  if (count == kLanes) {
    std::memcpy(out, narrowed, sizeof narrowed);
  } else {
    std::memcpy(out, narrowed, count * sizeof *narrowed);
  }
}

// Normalises a tile and stores it.
template <class T>
void store_tile(const Gnomonic& task, const Normaliser<T>& normaliser, const Tile& tile,
                const BlockColours<T>* blocks) {
  const std::int64_t pixels = task.view.h * task.view.w;
  with_out(task, [&](auto* out) __attribute__((always_inline)) {
    for (int f = 0; f < tile.frames; ++f)
      for (int c = 0; c < 3; ++c) {
        auto* to = out + ((3 * tile.crop + c) * task.view.F + tile.first_frame + f) * pixels + tile.first_pixel;
        const T gain = normaliser.gain[c], bias = normaliser.bias[c];
        const int whole = tile.pixels / kLanes, rest = tile.pixels % kLanes;
        for (int n = 0; n < whole; ++n) store(blocks[n].values[f][c], gain, bias, kLanes, to + n * kLanes);
        if (rest) store(blocks[whole].values[f][c], gain, bias, rest, to + whole * kLanes);
      }
  });
}

// Sum over `count` pixels of the grey of which contrast takes the mean: after brightness.
template <class T>
AVSA_HD double sum_greys(const Jitter<T>& jitter, int count, const T (&values)[3][kLanes]) {
  T grey[kLanes];
  AVSA_LANES
  for (int l = 0; l < kLanes; ++l)
    grey[l] = jitter.adjust_brightness({values[0][l], values[1][l], values[2][l]}).grey();
  double sum = 0;
  for (int l = 0; l < count; ++l) sum += grey[l];
  return sum;
}

// Stores a tile in task.sampled as it is, and its greys in task.partial_greys.
template <class T>
void keep_tile(const Gnomonic& task, const Tile& tile, const BlockColours<T>* blocks) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w;
  Jitter<T> jitter;
  jitter.set(task, tile.crop);
  for (int f = 0; f < tile.frames; ++f) {
    double greys = 0;
    for (int n = 0; n < tile.blocks(); ++n) {
      const int count = std::min(tile.pixels - n * kLanes, kLanes);
      const T(&values)[3][kLanes] = blocks[n].values[f];
      greys += sum_greys(jitter, count, values);
      for (int c = 0; c < 3; ++c) {
        const std::int64_t plane = (3 * tile.crop + c) * view.F + tile.first_frame + f;
        T* to = static_cast<T*>(task.sampled) + plane * pixels + tile.first_pixel + n * kLanes;
        std::memcpy(to, values[c], count * sizeof(T));
      }
    }
    task.partial_greys[(tile.crop * view.tiles() + tile.index) * view.F + tile.first_frame + f] = greys;
  }
}

// Jitters, normalises and stores a frame of a crop from task.sampled, which may be the output.
template <class T>
void jitter_frame(const Gnomonic& task, const Normaliser<T>& normaliser, std::int64_t crop, std::int64_t frame) {
  Jitter<T> jitter;
  jitter.set(task, crop);
  const T mean = T(mean_grey(task, crop, frame));
  const std::int64_t pixels = task.view.h * task.view.w, plane = task.view.F * pixels;
  const std::int64_t first = (3 * crop * task.view.F + frame) * pixels;
  const T* sampled = static_cast<const T*>(task.sampled) + first;
  with_out(task, [&](auto* out) __attribute__((always_inline)) {
    for (std::int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
      const int count = int(std::min<std::int64_t>(pixels - pixel, kLanes));
      T values[3][kLanes] = {};
      for (int c = 0; c < 3; ++c) std::memcpy(values[c], sampled + c * plane + pixel, count * sizeof(T));
      AVSA_LANES
      for (int l = 0; l < kLanes; ++l) {
        const Colour<T> colour = jitter.apply({values[0][l], values[1][l], values[2][l]}, mean);
        values[0][l] = colour.red;
        values[1][l] = colour.green;
        values[2][l] = colour.blue;
      }
      for (int c = 0; c < 3; ++c)
        store(values[c], normaliser.gain[c], normaliser.bias[c], count, out + first + c * plane + pixel);
    }
  });
}

template <class In>
void forward(const Gnomonic& task) {
  using T = std::conditional_t<sizeof(In) == sizeof(double), double, float>;
  const GnomonicView& view = task.view;
  const Normaliser<T> normaliser(task);
  const std::int64_t crops = view.B * view.K, tiles = view.tiles(), bands = (tiles + kBandTiles - 1) / kBandTiles;
#pragma omp parallel
  {
    BlockColours<T> blocks[kTileBlocks];
    Weights<In> weights;
#pragma omp for collapse(2) schedule(dynamic)
    for (std::int64_t crop = 0; crop < crops; ++crop)
      for (std::int64_t band = 0; band < bands; ++band) {
        Pose pose;
        pose.set(view, crop);
        for (std::int64_t frame = 0; frame < view.F; frame += kMaxFrames)
          for (std::int64_t n = band * kBandTiles; n < std::min(tiles, (band + 1) * kBandTiles); ++n) {
            const Tile tile(view, crop, n, frame);
            sample_tile(task, pose.rays, tile, weights, blocks);
            task.jitter ? keep_tile(task, tile, blocks) : store_tile(task, normaliser, tile, blocks);
          }
      }
  }
  if (task.jitter == nullptr) return;
  // Contrast needs the mean grey of a frame, which is known only now.
#pragma omp parallel for collapse(2)
  for (std::int64_t crop = 0; crop < crops; ++crop)
    for (std::int64_t frame = 0; frame < view.F; ++frame) jitter_frame(task, normaliser, crop, frame);
}

}  // namespace avsa::gnomonic::AVSA_ISA
