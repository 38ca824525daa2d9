#include <algorithm>
#include <cmath>

#include "ambisonics/mixing.h"
#include "core/clones.h"
#include "core/huge_pages.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace avsa::ambisonics {
namespace {

constexpr std::int64_t kSmallBatch = 64;  // directions that are not worth waking threads for

// Of a direction: azimuth, elevation.
template <class T>
bool is_finite(const T* direction) {
  return std::isfinite(direction[0]) && std::isfinite(direction[1]);
}

template <class T>
int harmonics(const Harmonics& task) {
  const T* directions = static_cast<const T*>(task.directions);
  T* out = static_cast<T*>(task.out);
  const int C = (task.order + 1) * (task.order + 1);
  int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad) if (task.N > kSmallBatch)
  for (std::int64_t i = 0; i < task.N; ++i) {
    bad |= !is_finite(directions + 2 * i);
    spherical_harmonics(unit_vector(double(directions[2 * i]), double(directions[2 * i + 1])), task.order, out + i * C);
  }
  return bad;
}

template <class T>
int turns(const Turns& task) {
  const T* directions = static_cast<const T*>(task.directions);
  const T* roll = static_cast<const T*>(task.roll);
  const int C = (task.order + 1) * (task.order + 1);
  int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad) if (task.N > kSmallBatch)
  for (std::int64_t i = 0; i < task.N; ++i) {
    if (!is_finite(directions + 2 * i)) bad |= 1;
    if (roll && !std::isfinite(roll[i])) bad |= 2;
    Turn first, turn, lower;
    const double azimuth = directions[2 * i], elevation = directions[2 * i + 1];
    first_turn(transpose(turn_front_to(azimuth, elevation, roll ? double(roll[i]) : 0.0)), first);
    T* out = static_cast<T*>(task.out) + i * C * C;
    std::fill_n(out, C * C, T(0));
    out[0] = 1;
    for (int n = 1; n <= task.order; ++n) {
      for (int m = -n; m <= n; ++m)
        for (int k = -n; k <= n; ++k) {
          const double element = n == 1 ? first.at[m + 1][k + 1] : turn_element(n, m, k, first, lower);
          turn.at[m + n][k + n] = element;
          const double mirror = task.flip && task.flip[i] && m < 0 ? -1 : 1;  // harmonics of m < 0 are odd in y
          out[(n * (n + 1) + m) * C + n * (n + 1) + k] = T(mirror * element);
        }
      lower = turn;
    }
  }
  return bad;
}

// --- mixing ---

constexpr std::int64_t kTile = 4096;       // samples of a channel that are read in one run
constexpr std::int64_t kCached = 1 << 16;  // samples of all channels that stay in cache while all rows mix them
constexpr int kRows = 4;                   // outputs that share each load of a channel
// Bytes of output from which it goes past the caches, as the C library's copy of large blocks does.
constexpr std::int64_t kStreamed = std::int64_t(4) << 20;

template <class T>
struct Wide {
  typedef T type __attribute__((vector_size(64)));
};

template <class V, class S>
AVSA_HD V load(const S* from) {
  V v;
  if constexpr (sizeof(V) == sizeof(Number<S>)) {
    v = widen(*from);
  } else if constexpr (std::is_same_v<S, Number<S>>) {
    std::memcpy(&v, from, sizeof v);
  } else {
    float wide[sizeof(V) / sizeof(float)];
    for (std::size_t i = 0; i < sizeof(V) / sizeof(float); ++i) wide[i] = widen(from[i]);
    std::memcpy(&v, wide, sizeof v);
  }
  return v;
}

// streamed: `to` is a multiple of 16 bytes.
template <bool streamed, class V, class S>
AVSA_HD void store(V v, S* to) {
  if constexpr (sizeof(V) == sizeof(Number<S>)) {
    narrow(v, *to);
  } else if constexpr (std::is_same_v<S, Number<S>>) {
#if defined(__SSE2__)
    if constexpr (streamed) {
      __m128i part[sizeof(V) / 16];
      std::memcpy(part, &v, sizeof v);
      for (std::size_t i = 0; i < sizeof(V) / 16; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(to) + i, part[i]);
      return;
    }
#endif
    std::memcpy(to, &v, sizeof v);
  } else {
    float wide[sizeof(V) / sizeof(float)];
    std::memcpy(wide, &v, sizeof v);
    for (std::size_t i = 0; i < sizeof(V) / sizeof(float); ++i) narrow(wide[i], to[i]);
  }
}

// One vector's width of R rows. `bad` becomes NaN where a sample is not finite, or a sum overflows.
template <int R, bool streamed, class V, class S>
AVSA_HD void mix_samples(const S* in, const Number<S>* matrix, std::int64_t columns, std::int64_t C,
                         std::int64_t samples, S* out, V& bad) {
  V sum[R] = {};
  for (std::int64_t c = 0; c < columns; ++c) {
    const V x = load<V>(in + c * samples);
    // Not skipped where a gain is 0: a sample that is not finite must reach every output.
    for (int r = 0; r < R; ++r) sum[r] += matrix[r * C + c] * x;
  }
  bad += sum[0] * Number<S>(0);
  for (int r = 0; r < R; ++r) store<streamed>(sum[r], out + r * samples);
}

// Returns whether all sums are finite.
template <int R, bool streamed, class S>
AVSA_HD bool mix_rows(const S* in, const Number<S>* matrix, const Slice& slice, std::int64_t C, std::int64_t samples,
                      std::int64_t n, S* out) {
  using V = typename Wide<Number<S>>::type;
  constexpr std::int64_t kWidth = sizeof(V) / sizeof(Number<S>);
  V bad = {};
  Number<S> all = 0;
  std::int64_t t = 0;
  for (; t + kWidth <= n; t += kWidth)
    mix_samples<R, streamed, V>(in + t, matrix, slice.columns, C, samples, out + t, bad);
  for (; t < n; ++t) mix_samples<R, false, Number<S>>(in + t, matrix, slice.columns, C, samples, out + t, all);
  for (std::int64_t i = 0; i < kWidth; ++i) all += bad[i];
  return all == 0;
}

// n samples of one scene, from `in` [C, samples] to `out` [R, samples]; false where a sum is not finite.
template <bool streamed, class S>
AVSA_HD bool mix_tile_any(const S* in, const Number<S>* matrix, const Slices<kRows>& slices, std::int64_t samples,
                          std::int64_t n, S* out) {
  bool finite = true;
  for (std::int64_t i = 0; i < slices.count(); ++i) {
    const Slice s = slices[i];
    const S* from = in + s.column * samples;
    const Number<S>* gains = matrix + s.row * slices.C + s.column;
    S* to = out + s.row * samples;
    switch (s.rows) {
      case 1:
        finite &= mix_rows<1, streamed>(from, gains, s, slices.C, samples, n, to);
        break;
      case 2:
        finite &= mix_rows<2, streamed>(from, gains, s, slices.C, samples, n, to);
        break;
      case 3:
        finite &= mix_rows<3, streamed>(from, gains, s, slices.C, samples, n, to);
        break;
      default:
        finite &= mix_rows<4, streamed>(from, gains, s, slices.C, samples, n, to);
    }
  }
  return finite;
}

#define AVSA_MIX_TILE(S)                                                                                 \
  bool mix_tile(const S* in, const Number<S>* matrix, const Slices<kRows>& slices, std::int64_t samples, \
                std::int64_t n, S* out, bool streamed) {                                                 \
    return for_isa([&]() AVSA_INLINED {                                                                  \
      return streamed ? mix_tile_any<true>(in, matrix, slices, samples, n, out)                          \
                      : mix_tile_any<false>(in, matrix, slices, samples, n, out);                        \
    });                                                                                                  \
  }
AVSA_MIX_TILE(float)
AVSA_MIX_TILE(double)
AVSA_MIX_TILE(Float16)
AVSA_MIX_TILE(Bfloat16)
#undef AVSA_MIX_TILE

template <class S>
bool all_finite(const S* samples, std::int64_t n) {
  Number<S> bad = 0;
  for (std::int64_t i = 0; i < n; ++i) bad += widen(samples[i]) * Number<S>(0);
  return bad == 0;
}

template <class S>
int mix(const Mix& task) {
  const Slices<kRows> slices(task);
  const S* signals = static_cast<const S*>(task.signals);
  const Number<S>* matrix = static_cast<const Number<S>*>(task.matrix);
  S* out = static_cast<S*>(task.out);
  const std::int64_t width = std::clamp<std::int64_t>(kCached / std::max<std::int64_t>(task.C, 1) / 64 * 64, 64, kTile);
  const std::int64_t tiles = (task.T + width - 1) / width, bytes = task.R * task.T * std::int64_t(sizeof(S));
  const bool streamed =
      task.B * bytes >= kStreamed && task.T * sizeof(S) % 16 == 0 && reinterpret_cast<std::uintptr_t>(out) % 16 == 0;
  if (streamed) ask_for_huge_pages(out, task.B * bytes);
  int bad = 0;
#pragma omp parallel for collapse(2) schedule(static) reduction(| : bad)
  for (std::int64_t b = 0; b < task.B; ++b)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t start = tile * width, n = std::min(task.T - start, width);
      bad |= !mix_tile(signals + b * task.C * task.T + start, matrix + b * task.R * task.C, slices, task.T, n,
                       out + b * task.R * task.T + start, streamed);
    }
  return bad && !all_finite(signals, task.B * task.C * task.T);  // sums of finite samples overflow as they may
}

}  // namespace

int harmonics_cpu(const Harmonics& task) {
  return task.dtype == Dtype::float64 ? harmonics<double>(task) : harmonics<float>(task);
}

int turns_cpu(const Turns& task) { return task.dtype == Dtype::float64 ? turns<double>(task) : turns<float>(task); }

int mix_cpu(const Mix& task) {
  return with_samples(task.dtype, [&](auto sample) { return mix<decltype(sample)>(task); });
}

}  // namespace avsa::ambisonics
