// Host kernel of spatial_features, compiled once per instruction set. Called by spatial_features_cpu.
//
// A tile is a few frames of all channels of a scene. Each SIMD lane holds one frame; two real sequences are transformed
// as one complex sequence; one pass over the bins then sums them to bands and writes the features of all views.
#include <algorithm>
#include <utility>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "core/dispatch.h"
#include "core/simd.h"
#include "features/bins.h"

namespace avsa::features {

// For bin_values.
template <class T, int N>
AVSA_HD void level_and_phase(const Lanes<double, N>& left, const Lanes<double, N>& right,
                             const Complex<Lanes<double, N>>& cross, Lanes<double, N> (&out)[3]) {
  double features[3][N];
  AVSA_LANES
  for (int l = 0; l < N; ++l) {
    double lane[3];
    level_and_phase<T>(left.v[l], right.v[l], {cross.re.v[l], cross.im.v[l]}, lane);
    for (int i = 0; i < 3; ++i) features[i][l] = lane[i];
  }
  for (int i = 0; i < 3; ++i) out[i] = Lanes<double, N>::load(features[i]);
}

namespace AVSA_ISA {
namespace {

using V = Lanes<double, kRegisterBytes / sizeof(double)>;
constexpr int kLanes = V::kCount;

int pairs(std::int64_t channels) { return int(channels + 1) / 2; }  // sequences that are transformed as one

// A thread's buffers [n_fft], one more than there are pairs of sequences. A transform alternates between two free
// buffers; its result stays in one of them.
struct Buffers {
  Complex<V>* free[3] = {};
  const Complex<V>* spectrum[2] = {};  // of the pairs

  static std::int64_t bytes(const SpatialFeatures& task) {
    return (pairs(task.C) + 1) * task.n_fft * std::int64_t(sizeof(Complex<V>));
  }
  Buffers(const SpatialFeatures& task, int thread) {
    void* const start = static_cast<char*>(task.workspace) + thread * bytes(task);
    for (int i = 0; i <= pairs(task.C); ++i) free[i] = static_cast<Complex<V>*>(start) + i * task.n_fft;
  }
};

// A tile's sequences: C channels of kLanes frames, or for C = 1 twice kLanes frames.
template <int C, class T>
struct Tile {
  const T* signals;  // [C, T] from the tile's first sample on
  std::int64_t samples, hop;
  std::int64_t frames;  // at least 1

  static constexpr std::int64_t kMaxFrames = C == 1 ? 2 * kLanes : kLanes;

  // Sample j of the frames of a sequence; lanes without a frame repeat the last.
  V sample(int sequence, std::int64_t j) const {
    const T* from = signals + (C == 1 ? 0 : sequence * samples) + j;
    const std::int64_t first = C == 1 ? sequence * kLanes : 0;
    alignas(64) double lanes[kLanes];
    for (int l = 0; l < kLanes; ++l) lanes[l] = from[std::min(first + l, frames - 1) * hop];
    return V::load(lanes);
  }
};

// kRadix: the pass's radix if known at compile time, else 0.
template <int kRadix>
void run_pass(const FftPass& pass, const Complex<double>* roots, const Complex<V>* in, Complex<V>* out) {
  const FftPass known{pass.n, kRadix == 0 ? pass.radix : kRadix, pass.stride};
  for (int p = 0; p < known.n / known.radix / known.stride; ++p)
    for (int q = 0; q < known.stride; ++q) butterfly(known, roots, in, out, p, q);
}

// Windows and transforms a pair of sequences; false if a sample is not finite.
template <int C, class T>
bool transform(const SpatialFeatures& task, const Tile<C, T>& tile, int pair, Buffers& buffers) {
  const int n = int(task.n_fft);
  const Complex<double>* roots = reinterpret_cast<const Complex<double>*>(task.roots);
  Complex<V>*in = buffers.free[0], *out = buffers.free[1];
  for (int j = 0; j < n; ++j) {
    const V half(0.5 * task.window[j]);
    in[j] = {half * tile.sample(2 * pair, j), half * tile.sample(2 * pair + 1, j)};
  }
  for (FftPass pass = FftPass::first(n); !pass.done(); pass = pass.next()) {
    if (pass.radix == 4)
      run_pass<4>(pass, roots, in, out);
    else if (pass.radix == 2)
      run_pass<2>(pass, roots, in, out);
    else
      run_pass<0>(pass, roots, in, out);
    std::swap(in, out);
  }
  buffers.spectrum[pair] = in;
  buffers.free[0] = out;
  buffers.free[1] = buffers.free[2];
  return ((in[0].re - in[0].re) + (in[0].im - in[0].im)).sum() == 0;  // the sum of all samples; x - x is 0 or NaN
}

// A band of one view in up to kLanes frames, from the band's sums and the sum of its mel weights. out: the band's first
// channel, frames side by side.
template <class Shape, class T>
void write_band(const SpatialFeatures& task, std::int64_t view, const V (&sums)[Shape::kSums], double weight, T* out,
                std::int64_t channel_step, std::int64_t frames) {
  const double* matrix = task.matrix + view * Shape::M * Shape::C;
  for (int channel = 0; channel < Shape::kChannels; ++channel, out += channel_step) {
    const V value = band_feature<Shape>(matrix, channel, sums, weight);
    T features[kLanes];
    AVSA_LANES
    for (int l = 0; l < kLanes; ++l) features[l] = channel < Shape::M ? log_power<T>(value.v[l]) : T(value.v[l]);
    if (frames == kLanes)
      std::memcpy(out, features, sizeof features);
    else
      std::copy_n(features, frames, out);
  }
}

// Up to kLanes frames of views [first_view, last_view) of scene b. Between the peaks of bands n - 1 and n only these
// two bands are open: the sums of both are on the stack, and a band is written once it is complete. half: which of the
// pair's sequences holds the frames of a single channel.
template <class Shape, class T>
void write_views(const SpatialFeatures& task, const Buffers& buffers, std::int64_t b, std::int64_t first_view,
                 std::int64_t last_view, int half, std::int64_t F, std::int64_t frame, std::int64_t frames) {
  constexpr int C = Shape::C;
  const int n_fft = int(task.n_fft);
  const std::int64_t N = task.N;
  const double* matrix = task.matrix + (b * task.K + first_view) * Shape::M * C;
  V sums[2][Shape::kSums];
  double weights[2] = {};
  std::fill_n(&sums[0][0], 2 * Shape::kSums, V(0));
  for (std::int64_t n = 0; n <= N; ++n) {
    const int lower = (n + 1) & 1, upper = n & 1;  // indices of bands n - 1 and n
    for (std::int64_t j = task.first[n]; j < task.first[n + 1]; ++j) {
      Complex<V> x[C], two[2];
      for (int pair = 0; pair < pairs(C); ++pair) {
        split_bin(buffers.spectrum[pair], n_fft, int(j), two[0], two[1]);
        if constexpr (C == 1) {
          x[0] = two[half];
        } else {
          x[2 * pair] = two[0];
          x[2 * pair + 1] = two[1];
        }
      }
      V values[Shape::kSums];
      bin_values<Shape, T>(task.intensity, matrix, x, values);
      const double lower_weight = n > 0 ? task.bank[j * N + n - 1] : 0, upper_weight = n < N ? task.bank[j * N + n] : 0;
      weights[lower] += lower_weight;
      weights[upper] += upper_weight;
      for (int i = 0; i < Shape::kSums; ++i) {
        sums[lower][i] = sums[lower][i] + V(lower_weight) * values[i];
        sums[upper][i] = sums[upper][i] + V(upper_weight) * values[i];
      }
    }
    if (n > 0)
      for (std::int64_t view = b * task.K + first_view; view < b * task.K + last_view; ++view) {
        T* out = static_cast<T*>(task.out) + (view * Shape::kChannels * N + n - 1) * F + frame;
        write_band<Shape>(task, view, sums[lower], weights[lower], out, N * F, frames);
      }
    std::fill_n(sums[lower], Shape::kSums, V(0));  // for band n + 1
    weights[lower] = 0;
  }
}

// All features of the tile of scene b that starts at a frame; false if a sample is not finite.
template <class Shape, class T>
bool write_tile(const SpatialFeatures& task, std::int64_t b, std::int64_t F, std::int64_t frame, Buffers buffers) {
  constexpr int C = Shape::C;
  const T* signals = static_cast<const T*>(task.signals) + b * C * task.T + frame * task.hop;
  const Tile<C, T> tile{signals, task.T, task.hop, std::min(Tile<C, T>::kMaxFrames, F - frame)};
  bool finite = true;
  for (int pair = 0; pair < pairs(C); ++pair) finite &= transform(task, tile, pair, buffers);
  for (std::int64_t done = 0; done < tile.frames; done += kLanes) {
    const std::int64_t frames = std::min<std::int64_t>(kLanes, tile.frames - done);
    const std::int64_t views = Shape::kPerView ? 1 : task.K;  // per pass over the bins
    for (std::int64_t view = 0; view < task.K; view += views)
      write_views<Shape, T>(task, buffers, b, view, view + views, done > 0, F, frame + done, frames);
  }
  return finite;
}

template <class Shape, class T>
int run(const SpatialFeatures& task) {
  const std::int64_t F = 1 + (task.T - task.n_fft) / task.hop;
  [[maybe_unused]] const int threads = int(task.workspace_bytes / Buffers::bytes(task));
  int invalid = 0;
#pragma omp parallel num_threads(threads) reduction(| : invalid)
  {
#if defined(_OPENMP)
    const Buffers buffers(task, omp_get_thread_num());
#else
    const Buffers buffers(task, 0);
#endif
#pragma omp for collapse(2) schedule(static)
    for (std::int64_t b = 0; b < task.B; ++b)
      for (std::int64_t frame = 0; frame < F; frame += Tile<Shape::C, T>::kMaxFrames)
        invalid |= !write_tile<Shape, T>(task, b, F, frame, buffers);
  }
  return invalid;
}

}  // namespace

std::int64_t workspace_size(const SpatialFeatures& task) {
#if defined(_OPENMP)
  return omp_get_max_threads() * Buffers::bytes(task);
#else
  return Buffers::bytes(task);
#endif
}

int spatial_features(const SpatialFeatures& task) {
  return with_shape(task, [&](auto shape) {
    using Shape = decltype(shape);
    return task.dtype == Dtype::float64 ? run<Shape, double>(task) : run<Shape, float>(task);
  });
}

}  // namespace AVSA_ISA
}  // namespace avsa::features
