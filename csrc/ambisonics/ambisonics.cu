#include "ambisonics/mixing.h"
#include "core/launch.h"

namespace avsa {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 32;  // input channels whose gains are shared by a block at a time

// One thread a sample of a view: reads every channel once; the block computes the gains together.
template <class T, class Mixer>
__global__ void __launch_bounds__(kThreads) mix_kernel(Mixer mixer, std::int64_t blocks_a_view) {
  constexpr int M = Mixer::kOutputs;
  __shared__ T gains[kTile][M];
  const std::int64_t view = blockIdx.x / blocks_a_view;
  const std::int64_t t = blockIdx.x % blocks_a_view * kThreads + threadIdx.x;
  const T* in = mixer.signals + view / mixer.K * mixer.C * mixer.samples;
  T sum[M] = {};
  for (std::int64_t first = 0; first < mixer.C; first += kTile) {
    const int count = int(mixer.C - first < kTile ? mixer.C - first : kTile);
    __syncthreads();
    if (int(threadIdx.x) < count) mixer.column(view, first + threadIdx.x, gains[threadIdx.x]);
    __syncthreads();
    if (t >= mixer.samples) continue;
    for (int c = 0; c < count; ++c) {
      const T x = in[(first + c) * mixer.samples + t];
      for (int m = 0; m < M; ++m) sum[m] += gains[c][m] * x;
    }
  }
  if (t >= mixer.samples) return;
  for (int m = 0; m < M; ++m) mixer.out[(view * M + m) * mixer.samples + t] = sum[m];
}

template <class T, class Mixer>
int mix(const Mixer& mixer, void* stream) {
  const std::int64_t blocks_a_view = (mixer.samples + kThreads - 1) / kThreads;
  const dim3 grid(unsigned(blocks_a_view * mixer.B * mixer.K));
  return launch(mix_kernel<T, Mixer>, grid, dim3(kThreads), 0, stream, mixer, blocks_a_view);
}

}  // namespace

int encode_cuda(const Encode& task, void* stream) {
  if (task.dtype == Dtype::float64) return mix<double>(EncodeMixer<double>(task), stream);
  return mix<float>(EncodeMixer<float>(task), stream);
}

int rotate_cuda(const Rotate& task, void* stream) {
  if (task.dtype == Dtype::float64) return mix<double>(RotateMixer<double>(task), stream);
  return mix<float>(RotateMixer<float>(task), stream);
}

int beamform_cuda(const Beamform& task, void* stream) {
  if (task.dtype == Dtype::float64) return mix<double>(BeamformMixer<double>(task), stream);
  return mix<float>(BeamformMixer<float>(task), stream);
}

}  // namespace avsa
