#include "core/launch.h"
#include "features/bins.h"

namespace avsa {
namespace {

constexpr int kFrames = 8, kBands = 32;  // of a block: a warp writes four bands' runs of a whole memory sector each

// One thread a band of a frame of a view: sums over the band's bins in registers. A bin is read by both its bands,
// mostly from L1, which holds the block's frames.
template <class Shape, class T>
__global__ void __launch_bounds__(kFrames* kBands)
    features_kernel(FeatureArrays<T> a, std::int64_t frame_tiles, std::int64_t band_tiles) {
  constexpr int C = Shape::C, M = Shape::M, kChannels = Shape::kChannels;
  const std::int64_t band_tile = blockIdx.x % band_tiles, frame_tile = blockIdx.x / band_tiles % frame_tiles;
  const std::int64_t view = blockIdx.x / band_tiles / frame_tiles, b = view / a.K;
  __shared__ double matrix[M * C];
  if (threadIdx.x < M * C) matrix[threadIdx.x] = a.matrix[view * M * C + threadIdx.x];
  __syncthreads();
  const std::int64_t frame = frame_tile * kFrames + threadIdx.x % kFrames;
  const std::int64_t band = band_tile * kBands + threadIdx.x / kFrames;
  if (frame >= a.F || band >= a.N) return;

  T sums[kChannels] = {}, weights = 0;
  for (std::int64_t j = a.first[band]; j < a.first[band + 2]; ++j) {
    double re[C], im[C];
    T value[kChannels];
    for (int c = 0; c < C; ++c) {
      const Complex x = a.spectrum[((b * C + c) * a.F + frame) * a.J + j];
      re[c] = x.re;
      im[c] = x.im;
    }
    bin_features<Shape>(a, matrix, re, im, value);
    const T weight = a.bank[j * a.N + band];
    weights += weight;
    for (int channel = 0; channel < kChannels; ++channel) sums[channel] += weight * value[channel];
  }
  for (int channel = 0; channel < kChannels; ++channel) {
    a.out[((view * kChannels + channel) * a.N + band) * a.F + frame] =
        band_feature<Shape>(channel, sums[channel], weights);
  }
}

template <class T>
int features(const SpatialFeatures& task, void* stream) {
  const FeatureArrays<T> a(task);
  const std::int64_t frame_tiles = (a.F + kFrames - 1) / kFrames, band_tiles = (a.N + kBands - 1) / kBands;
  const dim3 grid(unsigned(a.B * a.K * frame_tiles * band_tiles)), block(kFrames * kBands);
  int code = 0;
  with_shape(a.C, a.M, task.spatial, [&](auto shape) {
    code = launch(features_kernel<decltype(shape), T>, grid, block, 0, stream, a, frame_tiles, band_tiles);
  });
  return code;
}

}  // namespace

int spatial_features_cuda(const SpatialFeatures& task, void* stream) {
  return task.dtype == Dtype::float64 ? features<double>(task, stream) : features<float>(task, stream);
}

}  // namespace avsa
