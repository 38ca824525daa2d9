#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/clones.h"
#include "core/simd.h"
#include "features/bins.h"

namespace avsa {

template <class T>
AVSA_HD void level_and_phase(const Lanes<double>& left, const Lanes<double>& right, const Lanes<double>& cosine,
                             const Lanes<double>& sine, Lanes<double> (&out)[3]) {
  constexpr int kLanes = Lanes<double>::kCount;
  double parts[3][kLanes];
#pragma omp simd
  for (int l = 0; l < kLanes; ++l) {
    double of_lane[3];
    features::level_and_phase<T>(left.v[l], right.v[l], cosine.v[l], sine.v[l], of_lane);
    for (int i = 0; i < 3; ++i) parts[i][l] = of_lane[i];
  }
  for (int i = 0; i < 3; ++i) out[i] = Lanes<double>::load(parts[i]);
}

}  // namespace avsa

namespace avsa::features {
namespace {

using V = Lanes<double>;  // frames side by side
constexpr int kLanes = V::kCount;

// Scratch of a thread, aligned as a clone for wide registers wants it (baseline code asks for less): buffers of n_fft
// numbers that a tile's frames pass through, and what one of them holds.
struct Scratch {
  std::unique_ptr<void, decltype(&std::free)> memory;
  Complex<V>* free[3];
  const Complex<V>* spectrum[2] = {};  // of two real sequences each, a + i b

  explicit Scratch(std::int64_t n) : memory(std::aligned_alloc(sizeof(V), 3 * n * sizeof(Complex<V>)), &std::free) {
    if (memory == nullptr) throw std::bad_alloc();
    for (int i = 0; i < 3; ++i) free[i] = static_cast<Complex<V>*>(memory.get()) + i * n;
  }
};

// The sequences of a tile: channels of kLanes frames, or 2 kLanes frames of a single channel.
template <class T>
struct Tile {
  const T* signals;  // [C, T] of the scene, from the tile's first sample on
  std::int64_t samples, hop;
  std::int64_t frames;  // at least 1

  // Sample j of each lane's frame of a sequence; idle lanes repeat the last frame.
  template <int C>
  AVSA_HD V sample(int sequence, std::int64_t j) const {
    const T* from = signals + (C == 1 ? 0 : sequence * samples) + j;
    const std::int64_t before = C == 1 ? sequence * kLanes : 0;
    alignas(64) double lanes[kLanes];
    for (int l = 0; l < kLanes; ++l) lanes[l] = from[std::min(before + l, frames - 1) * hop];
    return V::load(lanes);
  }
};

template <int R>
AVSA_HD void run_pass(const FftPass& pass, const Complex<double>* roots, const Complex<V>* in, Complex<V>* out) {
  const FftPass known{pass.n, R == 0 ? pass.radix : R, pass.stride};
  for (int p = 0; p < pass.n / known.radix / pass.stride; ++p)
    for (int q = 0; q < pass.stride; ++q) butterfly(known, roots, in, out, p, q);
}

// Windows and transforms two sequences of a tile; false where one has a sample that is not finite.
template <int C, class T>
AVSA_HD bool transform(const SpatialFeatures& a, const Tile<T>& tile, int pack, Scratch& scratch) {
  const int n = int(a.n_fft);
  const Complex<double>* roots = reinterpret_cast<const Complex<double>*>(a.roots);
  Complex<V>*in = scratch.free[0], *out = scratch.free[1];
  for (int j = 0; j < n; ++j) {
    const V half(0.5 * a.window[j]);
    in[j] = {half * tile.template sample<C>(2 * pack, j), half * tile.template sample<C>(2 * pack + 1, j)};
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
  scratch.spectrum[pack] = in;
  scratch.free[0] = out;
  scratch.free[1] = scratch.free[2];
  scratch.free[2] = in;
  return ((in[0].re - in[0].re) + (in[0].im - in[0].im)).sum() == 0;  // the sum of all samples; x - x is 0, or NaN
}

// A finished band of one view, of `frames` frames.
template <class Shape, class T>
AVSA_HD void write_band(const SpatialFeatures& a, std::int64_t view, std::int64_t band, const V (&sums)[Shape::kSums],
                        double weight, std::int64_t F, std::int64_t frame, std::int64_t frames) {
  const double* matrix = a.matrix + view * Shape::M * Shape::C;
  T* out = static_cast<T*>(a.out) + (view * Shape::kChannels * a.N + band) * F + frame;
  AVSA_UNROLL
  for (int channel = 0; channel < Shape::kChannels; ++channel, out += a.N * F) {
    const V value = band_feature<Shape>(matrix, channel, sums, weight);
    T features[kLanes];
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) features[l] = channel < Shape::M ? log_of_power<T>(value.v[l]) : T(value.v[l]);
    if (frames == kLanes)
      std::memcpy(out, features, sizeof features);
    else
      std::copy_n(features, frames, out);
  }
}

// One pass over the bins of a tile. In the bins between the peaks of bands n - 1 and n just these two bands are open:
// their sums are kept on the stack, and a finished band goes out at once. `half`: which frames of a single channel.
template <class Shape, class T>
AVSA_HD void write_tile(const SpatialFeatures& a, const Scratch& scratch, std::int64_t b, std::int64_t views_from,
                        std::int64_t views_to, int half, std::int64_t F, std::int64_t frame, std::int64_t frames) {
  constexpr int C = Shape::C;
  const int n_fft = int(a.n_fft);
  const double* matrix = a.matrix + (b * a.K + views_from) * Shape::M * C;
  V sums[2][Shape::kSums];
  double weights[2] = {};
  std::fill_n(&sums[0][0], 2 * Shape::kSums, V(0));
  for (std::int64_t n = 0; n <= a.N; ++n) {
    const int lower = (n + 1) & 1, upper = n & 1;  // the slots of bands n - 1 and n
    for (std::int64_t j = a.first[n]; j < a.first[n + 1]; ++j) {
      Complex<V> x[C], pair[2];
      V values[Shape::kSums];
      for (int pack = 0; pack < (C + 1) / 2; ++pack) {
        split_bin(scratch.spectrum[pack], n_fft, int(j), pair[0], pair[1]);
        if constexpr (C == 1) {
          x[0] = pair[half];
        } else {
          x[2 * pack] = pair[0];
          x[2 * pack + 1] = pair[1];
        }
      }
      bin_sums<Shape, T>(a.intensity, matrix, x, values);
      const double to_lower = n > 0 ? a.bank[j * a.N + n - 1] : 0, to_upper = n < a.N ? a.bank[j * a.N + n] : 0;
      weights[lower] += to_lower;
      weights[upper] += to_upper;
      for (int i = 0; i < Shape::kSums; ++i) {
        sums[lower][i] = sums[lower][i] + V(to_lower) * values[i];
        sums[upper][i] = sums[upper][i] + V(to_upper) * values[i];
      }
    }
    if (n > 0)
      for (std::int64_t view = views_from; view < views_to; ++view)
        write_band<Shape, T>(a, b * a.K + view, n - 1, sums[lower], weights[lower], F, frame, frames);
    std::fill_n(sums[lower], Shape::kSums, V(0));  // for band n + 1
    weights[lower] = 0;
  }
}

// All features of a tile; false where a sample is not finite.
template <class Shape, class T>
AVSA_HD bool features_of_tile(const SpatialFeatures& a, std::int64_t b, std::int64_t F, std::int64_t frame,
                              Scratch& scratch) {
  constexpr int C = Shape::C;
  const T* signals = static_cast<const T*>(a.signals) + b * C * a.T + frame * a.hop;
  const Tile<T> tile{signals, a.T, a.hop, std::min<std::int64_t>(C == 1 ? 2 * kLanes : kLanes, F - frame)};
  bool finite = true;
  for (int pack = 0; pack < (C + 1) / 2; ++pack) finite &= transform<C>(a, tile, pack, scratch);
  for (std::int64_t done = 0; done < tile.frames; done += kLanes) {
    const std::int64_t frames = std::min<std::int64_t>(kLanes, tile.frames - done);
    const std::int64_t step = Shape::kByView ? 1 : a.K;  // views that a pass over the bins serves
    for (std::int64_t view = 0; view < a.K; view += step)
      write_tile<Shape, T>(a, scratch, b, view, view + step, done > 0, F, frame + done, frames);
  }
  return finite;
}

template <class T>
AVSA_HD bool tile_any(const SpatialFeatures& a, std::int64_t b, std::int64_t F, std::int64_t frame, Scratch& scratch) {
  return with_shape(a, [&](auto shape) __attribute__((always_inline)) {
    return features_of_tile<decltype(shape), T>(a, b, F, frame, scratch);
  });
}

bool tile_float(const SpatialFeatures& a, std::int64_t b, std::int64_t F, std::int64_t frame, Scratch& scratch) {
  return for_isa([&]() AVSA_INLINED { return tile_any<float>(a, b, F, frame, scratch); });
}
bool tile_double(const SpatialFeatures& a, std::int64_t b, std::int64_t F, std::int64_t frame, Scratch& scratch) {
  return for_isa([&]() AVSA_INLINED { return tile_any<double>(a, b, F, frame, scratch); });
}

}  // namespace

int spatial_features_cpu(const SpatialFeatures& task) {
  const std::int64_t F = 1 + (task.T - task.n_fft) / task.hop, step = task.C == 1 ? 2 * kLanes : kLanes;
  int bad = 0;
#pragma omp parallel reduction(| : bad)
  {
    Scratch scratch(task.n_fft);
#pragma omp for collapse(2) schedule(static)
    for (std::int64_t b = 0; b < task.B; ++b)
      for (std::int64_t frame = 0; frame < F; frame += step)
        bad |= task.dtype == Dtype::float64 ? !tile_double(task, b, F, frame, scratch)
                                            : !tile_float(task, b, F, frame, scratch);
  }
  return bad;
}

}  // namespace avsa::features
