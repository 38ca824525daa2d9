#include "core/half.h"
#include "core/launch.h"
#include "gnomonic/colour.h"
#include "gnomonic/pose_gradient.h"
#include "gnomonic/texels.h"

namespace avsa::gnomonic {
namespace {

constexpr int kThreads = kTile;  // one thread a pixel of a tile
constexpr int kFrames = 8;       // frames that share a pixel's taps

// Bytes side by side, in as few loads as their place allows: words that each hold a byte that is asked for.
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

// Sets channels `channel`, ... of the frames' sums to a plane's mean over a pixel; C: the plane's channels.
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

// A pixel's colours in some frames of a clip. planes: those of the task.
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
  }
}

// The same in every thread of the block.
__device__ double block_sum(double value) {
  __shared__ double warps[kThreads / 32];
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (double warp : warps) sum += warp;
  return sum;
}

// Before a crop's contrast can change: the sum over a tile of each frame's grey after brightness.
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
      const double greys = block_sum(pixel < view.h * view.w ? double(jitter.bright(sum[f]).grey()) : 0);
      if (threadIdx.x == 0) task.partial_greys[std::int64_t(blockIdx.x) * view.F + first + f] = greys;
    }
  }
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
  __shared__ T mean[kFrames];
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
    __syncthreads();
    if (task.jitter && valid && int(threadIdx.x) < frames) {
      mean[threadIdx.x] = T(mean_grey(task, crop, first + threadIdx.x));
    }
    __syncthreads();
    if (pixel >= pixels) continue;
    Colour<T> sum[kFrames];
    if (valid) sample<planes, In>(task, pose, crop / view.K, first, frames, pixel, sum);
    AVSA_UNROLL
    for (int f = 0; f < kFrames; ++f) {
      if (f >= frames) break;
      Colour<T> colour{T(NAN), T(NAN), T(NAN)};
      if (valid) colour = normaliser.apply(task.jitter ? jitter.apply(sum[f], mean[f]) : sum[f]);
      const std::int64_t at = (3 * crop * view.F + first + f) * pixels + pixel;
      store(task, at, colour.red);
      store(task, at + plane, colour.green);
      store(task, at + 2 * plane, colour.blue);
    }
  }
}

// A part of the gradient as a whole number of units; none where the unit tells that a gradient was not finite.
__device__ unsigned long long to_units(double value, double unit) {
  return unit - unit == 0 ? static_cast<unsigned long long>(llrint(value / unit)) : 0;
}

template <class T>
__global__ void __launch_bounds__(kThreads, sizeof(T) < sizeof(double) ? 3 : 2)
    gnomonic_backward_kernel(GnomonicBackward task, Plane frames) {
  __shared__ Pose pose;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels, frame_size = task.H * task.W * 3;
  if (threadIdx.x == 0) pose.set(view, crop);
  __syncthreads();
  if (!pose.valid || pixel >= pixels) return;
  const int row = int(pixel) / int(view.w), column = int(pixel) % int(view.w);
  const T* grad = static_cast<const T*>(task.grad) + 3 * crop * plane + pixel;
  std::int64_t* sums = task.sums + crop / view.K * view.F * frame_size;
  const T scale = 1 / each_texel<T>(view, frames, pose.rays, column, row, [](const auto&) {});
  each_texel<T>(view, frames, pose.rays, column, row, [&](const auto& run) {
    std::int64_t element = run.begin;
    AVSA_UNROLL
    for (const T& weight : run.weight)
      for (int c = 0; c < 3; ++c, ++element)
        for (std::int64_t f = 0; f < view.F; ++f) {
          auto* sum = reinterpret_cast<unsigned long long*>(sums + f * frame_size + element);
          atomicAdd(sum, to_units(scale * weight * grad[c * plane + f * pixels], *task.unit));
        }
  });
}

// Blocks along y: one for each parameter, since numbers with four derivatives do not fit into registers.
template <class In, class G>
__global__ void __launch_bounds__(kThreads, 1) gnomonic_pose_backward_kernel(GnomonicPoseBackward task) {
  __shared__ Rays<Dual<1>> rays;
  __shared__ bool valid;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  if (threadIdx.x == 0) {
    PoseNumbers pose;
    pose.set(view, crop);
    valid = pose.valid;
    rays = pose_rays<1>(view, pose, int(blockIdx.y));
  }
  __syncthreads();
  Dual<1> gradient;
  if (valid && pixel < view.h * view.w) gradient = pose_gradient<In, G>(task, rays, crop, pixel);
  const double sum = block_sum(gradient.d[0]);
  if (threadIdx.x == 0) task.sums[std::int64_t(blockIdx.x) * kPoseParameters + blockIdx.y] = sum;
}

dim3 grid(const GnomonicView& view) { return dim3(unsigned(view.B * view.K * view.tiles())); }

template <int planes, class In, class T>
int run(const Gnomonic& task, void* stream) {
  if (task.jitter) {
    if (const int code = launch(grey_kernel<planes, In, T>, grid(task.view), dim3(kThreads), 0, stream, task)) {
      return code;
    }
  }
  return launch(gnomonic_kernel<planes, In, T>, grid(task.view), dim3(kThreads), 0, stream, task);
}

}  // namespace

int gnomonic_cuda(const Gnomonic& task, void* stream) {
  if (task.planes == 2) return run<2, std::uint8_t, float>(task, stream);
  if (task.planes == 3) return run<3, std::uint8_t, float>(task, stream);
  if (task.frames_dtype == Dtype::uint8) return run<1, std::uint8_t, float>(task, stream);
  if (task.frames_dtype == Dtype::float64) return run<1, double, double>(task, stream);
  return run<1, float, float>(task, stream);
}

int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? gnomonic_backward_kernel<double> : gnomonic_backward_kernel<float>;
  const Plane frames{nullptr, task.H, task.W, 3, 0, 0, 3 * task.W, 0.5, 1.0};
  return launch(kernel, grid(task.view), dim3(kThreads), 0, stream, task, frames);
}

int gnomonic_pose_backward_cuda(const GnomonicPoseBackward& task, void* stream) {
  auto kernel = gnomonic_pose_backward_kernel<std::uint8_t, float>;
  if (task.frames_dtype == Dtype::float64) kernel = gnomonic_pose_backward_kernel<double, double>;
  if (task.frames_dtype == Dtype::float32) kernel = gnomonic_pose_backward_kernel<float, float>;
  return launch(kernel, dim3(grid(task.view).x, kPoseParameters), dim3(kThreads), 0, stream, task);
}

}  // namespace avsa::gnomonic
