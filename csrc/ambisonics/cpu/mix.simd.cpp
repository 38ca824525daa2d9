// Host kernel of mix, compiled once per instruction set. Called by mix_cpu.
#include <algorithm>
#include <cmath>

#include "ambisonics/mixing.h"
#include "core/simd.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace avsa::ambisonics::AVSA_ISA {
namespace {

constexpr int kMaxRows = 4;                     // rows that share each load of a sample
constexpr std::int64_t kMaxTile = 4096;         // samples per channel of a tile
constexpr std::int64_t kCachedSamples = 65536;  // of all channels: they stay in cache while all rows mix them

// N samples.
template <int N, class S>
AVSA_HD Lanes<Gain<S>, N> load(const S* from) {
  if constexpr (std::is_same_v<S, Gain<S>>) {
    return Lanes<S, N>::load(from);
  } else {
    float wide[N];
    for (int i = 0; i < N; ++i) wide[i] = widen(from[i]);
    return Lanes<float, N>::load(wide);
  }
}

// Streaming stores bypass the caches; `to` is then a multiple of 16 bytes.
template <bool streaming, int N, class S>
AVSA_HD void store(const Lanes<Gain<S>, N>& samples, S* to) {
  if constexpr (!std::is_same_v<S, Gain<S>>) {
    float wide[N];
    samples.store(wide);
    for (int i = 0; i < N; ++i) narrow(wide[i], to[i]);
    return;
  } else {
#if defined(__SSE2__)
    if constexpr (streaming && N > 1) {
      __m128i parts[sizeof samples / 16];
      std::memcpy(parts, &samples, sizeof samples);
      for (std::size_t i = 0; i < sizeof samples / 16; ++i)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to) + i, parts[i]);
      return;
    }
#endif
    samples.store(to);
  }
}

// N samples of R rows. Adds to `check` NaN for a sample that is not finite or a sum that overflows, else 0.
template <int R, bool streaming, int N, class S>
AVSA_HD void mix_samples(const S* in, const Gain<S>* gains, const RowBlock& block, std::int64_t C, std::int64_t T,
                         S* out, Lanes<Gain<S>, N>& check) {
  using V = Lanes<Gain<S>, N>;
  V sums[R];
  for (int r = 0; r < R; ++r) sums[r] = V(0);
  for (std::int64_t c = 0; c < block.channels; ++c) {
    const V x = load<N>(in + c * T);
    // Gains of 0 are not skipped: a sample that is not finite must reach every output.
    for (int r = 0; r < R; ++r) sums[r] = sums[r] + V(gains[r * C + c]) * x;
  }
  check = check + sums[0] * V(0);
  for (int r = 0; r < R; ++r) store<streaming, N>(sums[r], out + r * T);
}

// n samples of R rows; false if a sum is not finite.
template <int R, bool streaming, class S>
bool mix_rows(const S* in, const Gain<S>* gains, const RowBlock& block, std::int64_t C, std::int64_t T, std::int64_t n,
              S* out) {
  constexpr int N =
      std::max(sizeof(S) == 2 ? 8 : 1, kRegisterBytes / int(sizeof(Gain<S>)));  // fewer conversions do not vectorise
  Lanes<Gain<S>, N> check(0);
  Lanes<Gain<S>, 1> check_rest(0);
  std::int64_t t = 0;
  for (; t + N <= n; t += N) mix_samples<R, streaming, N>(in + t, gains, block, C, T, out + t, check);
  for (; t < n; ++t) mix_samples<R, false, 1>(in + t, gains, block, C, T, out + t, check_rest);
  return check.sum() + check_rest.sum() == 0;
}

// n samples of all rows of a scene: in [C, T], gains [R, C], out [R, T]. False if a sum is not finite.
template <bool streaming, class S>
bool mix_tile(const S* in, const Gain<S>* gains, const RowBlocks<kMaxRows>& blocks, std::int64_t T, std::int64_t n,
              S* out) {
  constexpr decltype(&mix_rows<1, streaming, S>) kMixRows[kMaxRows] = {
      mix_rows<1, streaming, S>, mix_rows<2, streaming, S>, mix_rows<3, streaming, S>, mix_rows<4, streaming, S>};
  bool finite = true;
  for (std::int64_t i = 0; i < blocks.count(); ++i) {
    const RowBlock block = blocks[i];
    finite &= kMixRows[block.rows - 1](in + block.channel * T, gains + block.row * blocks.C + block.channel, block,
                                       blocks.C, T, n, out + block.row * T);
  }
  return finite;
}

template <class S>
bool all_finite(const S* samples, std::int64_t n) {
  Gain<S> check = 0;
  for (std::int64_t i = 0; i < n; ++i) check += widen(samples[i]) * Gain<S>(0);
  return check == 0;
}

template <class S>
int mix_as(const Mix& task, bool streaming) {
  const RowBlocks<kMaxRows> blocks(task);
  const S* signals = static_cast<const S*>(task.signals);
  const Gain<S>* matrix = static_cast<const Gain<S>*>(task.matrix);
  S* out = static_cast<S*>(task.out);
  const std::int64_t C = task.C, R = task.R, T = task.T;
  const std::int64_t tile =
      std::clamp<std::int64_t>(kCachedSamples / std::max<std::int64_t>(C, 1) / 64 * 64, 64, kMaxTile);
  int invalid = 0;
#pragma omp parallel for collapse(2) schedule(static) reduction(| : invalid)
  for (std::int64_t b = 0; b < task.B; ++b)
    for (std::int64_t t = 0; t < T; t += tile) {
      const S* in = signals + b * C * T + t;
      const Gain<S>* gains = matrix + b * R * C;
      S* to = out + b * R * T + t;
      const std::int64_t n = std::min(T - t, tile);
      invalid |=
          streaming ? !mix_tile<true>(in, gains, blocks, T, n, to) : !mix_tile<false>(in, gains, blocks, T, n, to);
    }
  return invalid && !all_finite(signals, task.B * C * T);  // sums of finite samples may overflow
}

}  // namespace

int mix(const Mix& task, bool streaming) {
  return with_sample_type(task.dtype, [&](auto sample) { return mix_as<decltype(sample)>(task, streaming); });
}

}  // namespace avsa::ambisonics::AVSA_ISA
