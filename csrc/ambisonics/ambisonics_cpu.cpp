#include <algorithm>

#include "ambisonics/mixing.h"
#include "core/clones.h"

namespace avsa {
namespace {

constexpr std::int64_t kChunk = 2048;  // samples of all channels of a view that stay in L1 while they are mixed

template <class T>
AVSA_HD void accumulate_any(const T* __restrict x, T gain, T* __restrict out, std::int64_t n) {
  for (std::int64_t t = 0; t < n; ++t) out[t] += gain * x[t];
}

AVSA_CLONES void accumulate(const float* x, float gain, float* out, std::int64_t n) { accumulate_any(x, gain, out, n); }
AVSA_CLONES void accumulate(const double* x, double gain, double* out, std::int64_t n) {
  accumulate_any(x, gain, out, n);
}

template <class T, class Mixer>
void mix(const Mixer& mixer) {
  constexpr int M = Mixer::kOutputs;
  const std::int64_t samples = mixer.samples, C = mixer.C;
  const std::int64_t chunks = (samples + kChunk - 1) / kChunk;
#pragma omp parallel for collapse(2) schedule(static)
  for (std::int64_t view = 0; view < mixer.B * mixer.K; ++view)
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const std::int64_t start = chunk * kChunk, n = std::min(samples - start, kChunk);
      const T* in = mixer.signals + view / mixer.K * C * samples + start;
      T* out = mixer.out + view * M * samples + start;
      for (int m = 0; m < M; ++m) std::fill_n(out + m * samples, n, T(0));
      for (std::int64_t c = 0; c < C; ++c) {
        T gain[M];
        mixer.column(view, c, gain);
        // Not skipped where a gain is 0: a NaN in the sound must reach the output.
        for (int m = 0; m < M; ++m) accumulate(in + c * samples, gain[m], out + m * samples, n);
      }
    }
}

}  // namespace

void encode_cpu(const Encode& task) {
  task.dtype == Dtype::float64 ? mix<double>(EncodeMixer<double>(task)) : mix<float>(EncodeMixer<float>(task));
}

void rotate_cpu(const Rotate& task) {
  task.dtype == Dtype::float64 ? mix<double>(RotateMixer<double>(task)) : mix<float>(RotateMixer<float>(task));
}

void beamform_cpu(const Beamform& task) {
  task.dtype == Dtype::float64 ? mix<double>(BeamformMixer<double>(task)) : mix<float>(BeamformMixer<float>(task));
}

}  // namespace avsa
