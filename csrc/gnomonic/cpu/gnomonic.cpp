#include <algorithm>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>

#include "core/clones.h"
#include "core/half.h"
#include "core/huge_pages.h"
#include "gnomonic/colour.h"
#include "gnomonic/cpu/sampling.h"

namespace avsa::gnomonic {
namespace {

constexpr std::int64_t kBandTiles = 8;  // tiles of a crop that a thread takes at a time

// Of whichever instruction set.
using ByteWeights = std::tuple<ByteGroups<8>, ByteGroups<16>>;

template <Isa isa>
void sample_on(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame, int frames,
               std::int64_t pixel, int blocks, ByteWeights& weights, Block<float>* out) {
  sample_bytes<isa>(task, rays, clip, first_frame, frames, pixel, blocks, std::get<ByteGroups<kFloats<isa>>>(weights),
                    out);
}

inline void sample(const std::uint8_t*, const Gnomonic& task, const Rays<double>& rays, std::int64_t clip,
                   std::int64_t first_frame, int frames, std::int64_t pixel, int blocks, ByteWeights& weights,
                   Block<float>* out) {
  auto* chosen = sample_on<Isa::baseline>;
#ifdef AVSA_HAS_CLONES
  if (isa() >= Isa::avx512) chosen = sample_on<Isa::avx512>;
  if (isa() == Isa::avx2) chosen = sample_on<Isa::avx2>;
#endif
  chosen(task, rays, clip, first_frame, frames, pixel, blocks, weights, out);
}

#define AVSA_SAMPLE(T)                                                                                                \
  void sample(const T*, const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame,  \
              int frames, std::int64_t pixel, int blocks, Chunks<T>& weights, Block<T>* out) {                        \
    for_isa([&]()                                                                                                     \
                AVSA_INLINED { sample_any<T>(task, rays, clip, first_frame, frames, pixel, blocks, weights, out); }); \
  }
AVSA_SAMPLE(float)
AVSA_SAMPLE(double)
#undef AVSA_SAMPLE

// Calls f with the output, as an array of its type.
template <class F>
AVSA_HD void with_out(const Gnomonic& task, const F& f) {
  switch (task.out_dtype) {
    case Dtype::uint8:
      return f(static_cast<std::uint8_t*>(task.out));
    case Dtype::float16:
      return f(static_cast<Float16*>(task.out));
    case Dtype::bfloat16:
      return f(static_cast<Bfloat16*>(task.out));
    case Dtype::float32:
      return f(static_cast<float*>(task.out));
    default:  // float64
      return f(static_cast<double*>(task.out));
  }
}

// Normalises `count` pixels' values of a channel and stores them.
template <class Out, class T>
AVSA_HD void store(const T (&values)[kLanes], T gain, T bias, int count, Out* out) {
  Out made[kLanes];
  AVSA_LANES
  for (int l = 0; l < kLanes; ++l) narrow(gain * values[l] + bias, made[l]);
  if (count == kLanes) {
    std::memcpy(out, made, sizeof made);
  } else {
    std::copy_n(made, count, out);
  }
}

// Jitters, normalises and stores the kept pixels of a crop's frame, which may lie where they are stored.
template <class T>
AVSA_HD void colour_frame_any(const Gnomonic& task, const Normaliser<T>& normaliser, std::int64_t crop,
                              std::int64_t frame, const T* kept) {
  Jitter<T> jitter;
  jitter.set(task, crop);
  const T mean = T(mean_grey(task, crop, frame));
  const std::int64_t pixels = task.view.h * task.view.w, plane = task.view.F * pixels;
  const std::int64_t first = (3 * crop * task.view.F + frame) * pixels;
  with_out(task, [&](auto* out) AVSA_INLINED {
    for (std::int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
      const int count = int(std::min<std::int64_t>(pixels - pixel, kLanes));
      T values[3][kLanes] = {};
      for (int c = 0; c < 3; ++c) std::copy_n(kept + first + c * plane + pixel, count, values[c]);
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

// Normalises and stores a tile's pixels in some frames of a crop.
template <class T>
AVSA_HD void store_tile_any(const Gnomonic& task, const Normaliser<T>& normaliser, std::int64_t crop, std::int64_t tile,
                            std::int64_t first_frame, int frames, const Block<T>* blocks) {
  const std::int64_t pixels = task.view.h * task.view.w, first = tile * kTile, count = std::min(pixels - first, kTile);
  with_out(task, [&](auto* out) AVSA_INLINED {
    for (int f = 0; f < frames; ++f)
      for (int c = 0; c < 3; ++c) {
        auto* to = out + ((3 * crop + c) * task.view.F + first_frame + f) * pixels + first;
        const T gain = normaliser.gain[c], bias = normaliser.bias[c];
        for (int n = 0; n < int(count) / kLanes; ++n)
          store(blocks[n].values[f][c], gain, bias, kLanes, to + n * kLanes);
        const int whole = int(count) / kLanes, rest = int(count) % kLanes;
        if (rest) store(blocks[whole].values[f][c], gain, bias, rest, to + whole * kLanes);
      }
  });
}

// Keeps a tile's pixels in some frames of a crop as they are, in the place that the output has for them, and sums the
// grey that contrast is about.
template <class T>
AVSA_HD void keep_tile_any(const Gnomonic& task, const Jitter<T>& jitter, std::int64_t crop, std::int64_t tile,
                           std::int64_t first_frame, int frames, const Block<T>* blocks, T* kept) {
  const GnomonicView& view = task.view;
  const std::int64_t pixels = view.h * view.w, first = tile * kTile, end = std::min(pixels, first + kTile);
  for (int f = 0; f < frames; ++f) {
    const std::int64_t frame = first_frame + f;
    double greys = 0;
    const Block<T>* block = blocks;
    for (std::int64_t pixel = first; pixel < end; pixel += kLanes, ++block) {
      const int count = int(std::min<std::int64_t>(end - pixel, kLanes));
      const T(&values)[3][kLanes] = block->values[f];
      greys += bright_greys_any(jitter, count, values);
      for (int c = 0; c < 3; ++c)
        std::copy_n(values[c], count, kept + ((3 * crop + c) * view.F + frame) * pixels + pixel);
    }
    task.partial_greys[(crop * view.tiles() + tile) * view.F + frame] = greys;
  }
}

#define AVSA_COLOUR(T)                                                                                            \
  void store_tile(const Gnomonic& task, const Normaliser<T>& normaliser, std::int64_t crop, std::int64_t tile,    \
                  std::int64_t first_frame, int frames, const Block<T>* blocks) {                                 \
    for_isa([&]() AVSA_INLINED { store_tile_any(task, normaliser, crop, tile, first_frame, frames, blocks); });   \
  }                                                                                                               \
  void keep_tile(const Gnomonic& task, const Jitter<T>& jitter, std::int64_t crop, std::int64_t tile,             \
                 std::int64_t first_frame, int frames, const Block<T>* blocks, T* kept) {                         \
    for_isa([&]() AVSA_INLINED { keep_tile_any(task, jitter, crop, tile, first_frame, frames, blocks, kept); });  \
  }                                                                                                               \
  void colour_frame(const Gnomonic& task, const Normaliser<T>& normaliser, std::int64_t crop, std::int64_t frame, \
                    const T* kept) {                                                                              \
    for_isa([&]() AVSA_INLINED { colour_frame_any(task, normaliser, crop, frame, kept); });                       \
  }
AVSA_COLOUR(float)
AVSA_COLOUR(double)
#undef AVSA_COLOUR

// Samples all crops. Without `kept`, stores them; with it, [B, K, 3, F, h, w], keeps them there and sums their greys.
template <class In, class T>
void sample_crops(const Gnomonic& task, const Normaliser<T>& normaliser, T* kept) {
  const GnomonicView& view = task.view;
  const std::int64_t tiles = view.tiles(), pixels = view.h * view.w, bands = (tiles + kBandTiles - 1) / kBandTiles;
#pragma omp parallel
  {
    Block<T> blocks[kBlocks];
    std::conditional_t<sizeof(In) == 1, ByteWeights, Chunks<T>> weights;
#pragma omp for collapse(2) schedule(dynamic)
    for (std::int64_t crop = 0; crop < view.B * view.K; ++crop)
      for (std::int64_t band = 0; band < bands; ++band) {
        Pose pose;
        pose.set(view, crop);
        Jitter<T> jitter;
        jitter.set(task, crop);
        for (std::int64_t first = 0; first < view.F; first += kFrames) {
          const int frames = int(std::min<std::int64_t>(view.F - first, kFrames));
          for (std::int64_t tile = band * kBandTiles; tile < std::min(tiles, (band + 1) * kBandTiles); ++tile) {
            const std::int64_t pixel = tile * kTile, count = std::min(pixels - pixel, kTile);
            sample(static_cast<const In*>(nullptr), task, pose.rays, crop / view.K, first, frames, pixel,
                   int((count + kLanes - 1) / kLanes), weights, blocks);
            kept ? keep_tile(task, jitter, crop, tile, first, frames, blocks, kept)
                 : store_tile(task, normaliser, crop, tile, first, frames, blocks);
          }
        }
      }
  }
}

// Contrast needs a crop's mean before its first pixel can be stored: jittered crops are kept meanwhile.
template <class In, class T>
void run(const Gnomonic& task) {
  const GnomonicView& view = task.view;
  const Normaliser<T> normaliser(task);
  if (task.jitter == nullptr) return sample_crops<In, T>(task, normaliser, nullptr);
  const bool in_place = task.out_dtype == (sizeof(T) == sizeof(double) ? Dtype::float64 : Dtype::float32);
  std::unique_ptr<T[]> aside;
  if (!in_place) aside.reset(new T[3 * view.B * view.K * view.F * view.h * view.w]);
  T* kept = in_place ? static_cast<T*>(task.out) : aside.get();
  sample_crops<In, T>(task, normaliser, kept);
#pragma omp parallel for collapse(2)
  for (std::int64_t crop = 0; crop < view.B * view.K; ++crop)
    for (std::int64_t frame = 0; frame < view.F; ++frame) colour_frame(task, normaliser, crop, frame, kept);
}

}  // namespace

void gnomonic_cpu(const Gnomonic& task) {
  constexpr std::int64_t kBytes[] = {1, 2, 2, 4, 8};  // of a Dtype
  const GnomonicView& view = task.view;
  ask_for_huge_pages(task.out, 3 * view.B * view.K * view.F * view.h * view.w * kBytes[int(task.out_dtype)]);
  if (task.frames_dtype == Dtype::uint8) return run<std::uint8_t, float>(task);
  if (task.frames_dtype == Dtype::float64) return run<double, double>(task);
  run<float, float>(task);
}

}  // namespace avsa::gnomonic
