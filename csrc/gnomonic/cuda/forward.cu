// The forward kernels of CUDA: gnomonic_kernel samples, jitters and stores; with jitter, grey_kernel and
// mean_grey_kernel run before it.
#include "core/half.h"
#include "gnomonic/colour.h"
#include "gnomonic/cuda/tile_block.h"
#include "gnomonic/texels.h"

namespace avsa::gnomonic {
namespace {

constexpr int kFrames = 8;  // frames that share a pixel's weights

// Loads N adjacent bytes as floats, by aligned 32-bit loads of the words that cover them.
template <int N>
__device__ void load(const std::uint8_t* from, float (&to)[N]) {
#ifdef __CUDA_ARCH__
  if constexpr (N % 4 == 0) {
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    const auto* words = reinterpret_cast<const std::uint32_t*>(address & ~std::uintptr_t(3));
    const unsigned shift = unsigned(address & 3) * 8;
    std::uint32_t word = __ldg(words);
#pragma unroll
    for (int n = 0; n < N; n += 4) {
      const std::uint32_t next = n + 4 < N || shift ? __ldg(words + n / 4 + 1) : 0;
      const std::uint32_t bytes = __funnelshift_r(word, next, shift);
#pragma unroll
      for (int i = 0; i < 4; ++i) to[n + i] = float(bytes >> 8 * i & 255);
      word = next;
    }
  } else
#endif
  {
    AVSA_UNROLL
    for (int n = 0; n < N; ++n) to[n] = float(__ldg(from + n));
  }
}

template <int N, class T>
__device__ void load(const T* from, T (&to)[N]) {
  AVSA_UNROLL
  for (int n = 0; n < N; ++n) to[n] = __ldg(from + n);
}

// Computes the mean of a plane over a pixel, in each frame. C: the plane's channels, which become channels `channel`,
// ... of sum.
template <int C, int channel, class In, class T>
__device__ void sample_plane(const Gnomonic& task, const Plane& plane, const Rays<double>& rays, std::int64_t clip,
                             std::int64_t first, int frames, std::int64_t pixel, T (&sum)[kFrames][3]) {
  const int w = int(task.view.w);
  const In* from = static_cast<const In*>(plane.data) + clip * plane.clip_step + first * plane.frame_step;
  const T total = each_texel<T>(task.view, plane, rays, int(pixel) % w, int(pixel) / w, [&](const auto& run) {
    constexpr int N = sizeof(run.weight) / sizeof(run.weight[0]);
    const In* texels = from + run.begin;
    AVSA_UNROLL
    for (int f = 0; f < kFrames; ++f, texels += plane.frame_step) {
      if (f >= frames) break;
      T values[N * C];
      load(texels, values);
      AVSA_UNROLL
      for (int n = 0; n < N; ++n) {
        AVSA_UNROLL
        for (int c = 0; c < C; ++c) sum[f][channel + c] += run.weight[n] * values[n * C + c];
      }
    }
  });
  const T scale = T(sizeof(In) == 1 ? 1.0 / 255 : 1.0) / total;
  AVSA_UNROLL
  for (int f = 0; f < kFrames; ++f) {
    AVSA_UNROLL
    for (int c = 0; c < C; ++c) sum[f][channel + c] *= scale;
  }
}

// Computes a pixel's colours in frames `first` to `first + frames - 1` of a clip. planes: the number of the task's.
template <int planes, class In, class T>
__device__ void sample(const Gnomonic& task, const Pose& pose, std::int64_t clip, std::int64_t first, int frames,
                       std::int64_t pixel, Colour<T> (&colours)[kFrames]) {
  T sum[kFrames][3] = {};
  if constexpr (planes == 1) {
    sample_plane<3, 0, In>(task, task.plane[0], pose.rays, clip, first, frames, pixel, sum);
  } else {
    sample_plane<1, 0, In>(task, task.plane[0], pose.rays, clip, first, frames, pixel, sum);
    sample_plane<planes == 2 ? 2 : 1, 1, In>(task, task.plane[1], pose.rays, clip, first, frames, pixel, sum);
    if constexpr (planes == 3) {
      sample_plane<1, 2, In>(task, task.plane[2], pose.rays, clip, first, frames, pixel, sum);
    }
  }
  AVSA_UNROLL
  for (int f = 0; f < kFrames; ++f) {
    colours[f] = {sum[f][0], sum[f][1], sum[f][2]};
    if (planes > 1) colours[f] = from_yuv(task.yuv, colours[f]);
    if (planes == 1 && sizeof(In) == 1 && task.view.source == Source::eac) colours[f] = colours[f].clamped();
  }
}

// Sums each frame's grey over a tile after brightness: contrast needs its mean over the crop. Only run with jitter.
template <int planes, class In, class T>
__global__ void __launch_bounds__(kThreads, 2) grey_kernel(Gnomonic task) {
  __shared__ Pose pose;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  if (threadIdx.x == 0) pose.set(view, crop);
  __syncthreads();
  Jitter<T> jitter;
  jitter.set(task, crop);
  if (!pose.valid || !jitter.valid) return;
  for (std::int64_t first = 0; first < view.F; first += kFrames) {
    const int frames = int(view.F - first < kFrames ? view.F - first : kFrames);
    Colour<T> sum[kFrames];
    if (pixel < view.h * view.w) sample<planes, In>(task, pose, crop / view.K, first, frames, pixel, sum);
    AVSA_UNROLL
    for (int f = 0; f < kFrames; ++f) {
      if (f >= frames) break;
      const double greys = block_sum(pixel < view.h * view.w ? double(jitter.adjust_brightness(sum[f]).grey()) : 0);
      if (threadIdx.x == 0) task.partial_greys[std::int64_t(blockIdx.x) * view.F + first + f] = greys;
    }
  }
}

// Replaces each frame's greys of the first tile by their mean over the crop; a warp per frame of a crop.
__global__ void __launch_bounds__(kThreads) mean_grey_kernel(Gnomonic task) {
  const GnomonicView& view = task.view;
  const std::int64_t i = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (i >= view.B * view.K * view.F) return;
  double* greys = task.partial_greys + i / view.F * view.tiles() * view.F + i % view.F;
  double sum = 0;
  for (std::int64_t tile = lane; tile < view.tiles(); tile += 32) sum += greys[tile * view.F];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (lane == 0) greys[0] = sum / double(view.h * view.w);
}

template <class T>
__device__ void store(const Gnomonic& task, std::int64_t at, T value) {
  switch (task.out_dtype) {
    case Dtype::uint8:
      return narrow(value, static_cast<std::uint8_t*>(task.out)[at]);
    case Dtype::float16:
      return narrow(value, static_cast<Float16*>(task.out)[at]);
    case Dtype::bfloat16:
      return narrow(value, static_cast<Bfloat16*>(task.out)[at]);
    case Dtype::float32:
      return narrow(value, static_cast<float*>(task.out)[at]);
    default:  // float64
      return narrow(value, static_cast<double*>(task.out)[at]);
  }
}

template <int planes, class In, class T>
__global__ void __launch_bounds__(kThreads, 2) gnomonic_kernel(Gnomonic task) {
  __shared__ Pose pose;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  if (threadIdx.x == 0) pose.set(view, crop);
  __syncthreads();
  Jitter<T> jitter;
  jitter.set(task, crop);
  const bool valid = pose.valid && jitter.valid;
  const Normaliser<T> normaliser(task);
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels;
  for (std::int64_t first = 0; first < view.F; first += kFrames) {
    const int frames = int(view.F - first < kFrames ? view.F - first : kFrames);
    if (pixel >= pixels) continue;
    Colour<T> sum[kFrames];
    if (valid) sample<planes, In>(task, pose, crop / view.K, first, frames, pixel, sum);
    AVSA_UNROLL
    for (int f = 0; f < kFrames; ++f) {
      if (f >= frames) break;
      Colour<T> colour{T(NAN), T(NAN), T(NAN)};
      if (valid) {
        if (task.jitter) sum[f] = jitter.apply(sum[f], T(task.partial_greys[crop * view.tiles() * view.F + first + f]));
        colour = normaliser.apply(sum[f]);
      }
      const std::int64_t at = (3 * crop * view.F + first + f) * pixels + pixel;
      store(task, at, colour.red);
      store(task, at + plane, colour.green);
      store(task, at + 2 * plane, colour.blue);
    }
  }
}

template <int planes, class In, class T>
int run(const Gnomonic& task, void* stream) {
  if (task.jitter) {
    if (const int code = launch(grey_kernel<planes, In, T>, tile_grid(task.view), dim3(kThreads), 0, stream, task)) {
      return code;
    }
    const std::int64_t warps = task.view.B * task.view.K * task.view.F, per_block = kThreads / 32;
    const dim3 grid(unsigned((warps + per_block - 1) / per_block));
    if (const int code = launch(mean_grey_kernel, grid, dim3(kThreads), 0, stream, task)) return code;
  }
  return launch(gnomonic_kernel<planes, In, T>, tile_grid(task.view), dim3(kThreads), 0, stream, task);
}

}  // namespace

int gnomonic_cuda(const Gnomonic& task, void* stream) {
  if (task.planes == 2) return run<2, std::uint8_t, float>(task, stream);
  if (task.planes == 3) return run<3, std::uint8_t, float>(task, stream);
  if (task.frames_dtype == Dtype::uint8) return run<1, std::uint8_t, float>(task, stream);
  if (task.frames_dtype == Dtype::float64) return run<1, double, double>(task, stream);
  return run<1, float, float>(task, stream);
}

}  // namespace avsa::gnomonic
