#include <algorithm>
#include <cstring>

#include "core/clones.h"
#include "core/narrow.h"
#include "gnomonic/colour.h"
#include "gnomonic/sampling.h"

namespace avsa {
namespace {

constexpr std::int64_t kBandTiles = 8;  // tiles of a crop that a thread takes at a time

// Values within [0, 1] of a block's pixels in `frames` frames.
template <class In, class T>
AVSA_HD void sample_any(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame,
                        int frames, std::int64_t pixel, Chunks<T>& chunks, Block<T>& block) {
  std::memset(&block, 0, sizeof block);
  BlockRays lanes;
  lanes.set(task.view, rays, pixel);
  for (int p = 0, channel = 0; p < task.planes; channel += int(task.plane[p].channels), ++p) {
    const Plane& plane = task.plane[p];
    const In* first = static_cast<const In*>(plane.data) + clip * plane.clip_step + first_frame * plane.frame_step;
    if (plane.channels == 3) {
      add_plane<3>(task.view, plane, lanes, rays, first, frames, channel, chunks, block);
    } else if constexpr (sizeof(In) == 1) {  // YUV planes hold bytes
      plane.channels == 2 ? add_plane<2>(task.view, plane, lanes, rays, first, frames, channel, chunks, block)
                          : add_plane<1>(task.view, plane, lanes, rays, first, frames, channel, chunks, block);
    }
  }
  const T scale = sizeof(In) == 1 ? T(1.0 / 255) : T(1);
  for (int f = 0; f < frames; ++f) {
    AVSA_LANES
    for (int l = 0; l < kLanes; ++l) {
      T(&v)[3][kLanes] = block.values[f];
      Colour<T> colour{scale * v[0][l], scale * v[1][l], scale * v[2][l]};
      if (task.planes > 1) colour = from_yuv(task.yuv, colour);
      v[0][l] = colour.red;
      v[1][l] = colour.green;
      v[2][l] = colour.blue;
    }
  }
}

#define AVSA_SAMPLE(In, T)                                                                                            \
  void sample(const In*, const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame, \
              int frames, std::int64_t pixel, Chunks<T>& chunks, Block<T>& block) {                                   \
    for_isa([&]() AVSA_INLINED { sample_any<In>(task, rays, clip, first_frame, frames, pixel, chunks, block); });     \
  }
AVSA_SAMPLE(std::uint8_t, float)
AVSA_SAMPLE(float, float)
AVSA_SAMPLE(double, double)
#undef AVSA_SAMPLE

template <class Out, class T>
AVSA_HD void store(const T (&values)[3][kLanes], const Normaliser<T>& normaliser, Out* out, std::int64_t plane,
                   int count) {
  for (int c = 0; c < 3; ++c) {
    const T gain = normaliser.gain[c], bias = normaliser.bias[c];
    AVSA_LANES
    for (int l = 0; l < count; ++l) narrow(gain * values[c][l] + bias, out[c * plane + l]);
  }
}

// Jitters `count` pixels of a crop's frame in place, normalises and stores them.
template <class T>
AVSA_HD void finish_any(const Gnomonic& task, const Jitter<T>& jitter, const Normaliser<T>& normaliser, T mean,
                        std::int64_t crop, std::int64_t frame, std::int64_t pixel, int count, T (&values)[3][kLanes]) {
  if (task.jitter) {
    AVSA_LANES
    for (int l = 0; l < kLanes; ++l) {
      const Colour<T> colour = jitter.apply({values[0][l], values[1][l], values[2][l]}, mean);
      values[0][l] = colour.red;
      values[1][l] = colour.green;
      values[2][l] = colour.blue;
    }
  }
  const std::int64_t pixels = task.view.h * task.view.w, plane = task.view.F * pixels;
  const std::int64_t at = (3 * crop * task.view.F + frame) * pixels + pixel;
  switch (task.out_dtype) {
    case Dtype::uint8:
      return store(values, normaliser, static_cast<std::uint8_t*>(task.out) + at, plane, count);
    case Dtype::float16:
      return store(values, normaliser, static_cast<Float16*>(task.out) + at, plane, count);
    case Dtype::bfloat16:
      return store(values, normaliser, static_cast<Bfloat16*>(task.out) + at, plane, count);
    case Dtype::float32:
      return store(values, normaliser, static_cast<float*>(task.out) + at, plane, count);
    case Dtype::float64:
      return store(values, normaliser, static_cast<double*>(task.out) + at, plane, count);
  }
}

// Sum over `count` pixels of the grey that contrast is about: after brightness.
template <class T>
AVSA_HD double bright_greys_any(const Jitter<T>& jitter, int count, const T (&values)[3][kLanes]) {
  T grey[kLanes];
  AVSA_LANES
  for (int l = 0; l < kLanes; ++l) grey[l] = jitter.bright({values[0][l], values[1][l], values[2][l]}).grey();
  double sum = 0;
  for (int l = 0; l < count; ++l) sum += grey[l];
  return sum;
}

#define AVSA_COLOUR(T)                                                                                              \
  void finish(const Gnomonic& task, const Jitter<T>& jitter, const Normaliser<T>& normaliser, T mean,               \
              std::int64_t crop, std::int64_t frame, std::int64_t pixel, int count, T(&values)[3][kLanes]) {        \
    for_isa([&]() AVSA_INLINED { finish_any(task, jitter, normaliser, mean, crop, frame, pixel, count, values); }); \
  }                                                                                                                 \
  double bright_greys(const Jitter<T>& jitter, int count, const T(&values)[3][kLanes]) {                            \
    return for_isa([&]() AVSA_INLINED { return bright_greys_any(jitter, count, values); });                         \
  }
AVSA_COLOUR(float)
AVSA_COLOUR(double)
#undef AVSA_COLOUR

// One pass over all crops: with `measure` for the sums of grey, else for the output.
template <class In, class T>
void pass(const Gnomonic& task, bool measure) {
  const GnomonicView& view = task.view;
  const std::int64_t tiles = view.tiles(), pixels = view.h * view.w, bands = (tiles + kBandTiles - 1) / kBandTiles;
  const Normaliser<T> normaliser(task);
#pragma omp parallel for collapse(2) schedule(dynamic)
  for (std::int64_t crop = 0; crop < view.B * view.K; ++crop)
    for (std::int64_t band = 0; band < bands; ++band) {
      Pose pose;
      pose.set(view, crop);
      Jitter<T> jitter;
      jitter.set(task, crop);
      Block<T> block;
      Chunks<T> chunks;
      for (std::int64_t first = 0; first < view.F; first += kFrames) {
        const int frames = int(std::min<std::int64_t>(view.F - first, kFrames));
        T mean[kFrames] = {};
        if (task.jitter && !measure) {
          for (int f = 0; f < frames; ++f) mean[f] = T(mean_grey(task, crop, first + f));
        }
        for (std::int64_t tile = band * kBandTiles; tile < std::min(tiles, (band + 1) * kBandTiles); ++tile) {
          double greys[kFrames] = {};
          const std::int64_t end = std::min(pixels, (tile + 1) * kTile);
          for (std::int64_t pixel = tile * kTile; pixel < end; pixel += kLanes) {
            const int count = int(std::min<std::int64_t>(end - pixel, kLanes));
            sample(static_cast<const In*>(nullptr), task, pose.rays, crop / view.K, first, frames, pixel, chunks,
                   block);
            for (int f = 0; f < frames; ++f) {
              if (measure) {
                greys[f] += bright_greys(jitter, count, block.values[f]);
              } else {
                finish(task, jitter, normaliser, mean[f], crop, first + f, pixel, count, block.values[f]);
              }
            }
          }
          if (measure) std::copy_n(greys, frames, task.partial_greys + (crop * tiles + tile) * view.F + first);
        }
      }
    }
}

template <class In, class T>
void run(const Gnomonic& task) {
  if (task.jitter) pass<In, T>(task, true);
  pass<In, T>(task, false);
}

}  // namespace

void gnomonic_cpu(const Gnomonic& task) {
  if (task.frames_dtype == Dtype::uint8) return run<std::uint8_t, float>(task);
  if (task.frames_dtype == Dtype::float64) return run<double, double>(task);
  run<float, float>(task);
}

}  // namespace avsa
