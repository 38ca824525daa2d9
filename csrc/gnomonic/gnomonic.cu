#include "core/launch.h"
#include "core/narrow.h"
#include "gnomonic/colour.h"

namespace avsa {
namespace {

constexpr int kThreads = kTile;  // one thread a pixel of a tile
constexpr int kFrames = 8;       // frames that share a pixel's taps

template <class In, class T>
__device__ void sample(const Gnomonic& task, const Pose& pose, std::int64_t clip, std::int64_t first, int frames,
                       std::int64_t pixel, Colour<T> (&sum)[kFrames]) {
  const T scale = task.frames_dtype == Dtype::uint8 ? T(1.0 / 255) : T(1);
  for (Colour<T>& s : sum) s = {0, 0, 0};
  Footprints<T, 1> prints;
  prints.set(task.view, pose, pixel);
  for (int row = -prints.most_rows; row <= prints.most_rows; ++row)
    for (int column = -prints.most_columns; column <= prints.most_columns; ++column) {
      Taps<T, 1> taps;
      taps.set(task.view, pose, prints, column, row);
      const In* frame = static_cast<const In*>(task.frames) + clip * task.clip_step + first * task.frame_step;
      AVSA_UNROLL
      for (int f = 0; f < kFrames; ++f, frame += task.frame_step) {
        if (f >= frames) break;
        AVSA_UNROLL
        for (int tap = 0; tap < 4; ++tap) {
          const T weight = scale * taps.weight[tap][0];
          const In* texel = frame + taps.offset[tap][0];
          sum[f].red += weight * T(__ldg(texel));
          sum[f].green += weight * T(__ldg(texel + 1));
          sum[f].blue += weight * T(__ldg(texel + 2));
        }
      }
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
template <class In, class T>
__global__ void __launch_bounds__(kThreads) grey_kernel(Gnomonic task) {
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
    if (pixel < view.h * view.w) sample<In>(task, pose, crop / view.K, first, frames, pixel, sum);
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
    case Dtype::float64:
      return narrow(value, static_cast<double*>(task.out)[at]);
  }
}

template <class In, class T>
__global__ void __launch_bounds__(kThreads) gnomonic_kernel(Gnomonic task) {
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
    if (valid) sample<In>(task, pose, crop / view.K, first, frames, pixel, sum);
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

template <class T>
__global__ void __launch_bounds__(kThreads) gnomonic_backward_kernel(GnomonicBackward task) {
  __shared__ Pose pose;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  const std::int64_t pixels = view.h * view.w, plane = view.F * pixels, frame_size = view.H * view.W * 3;
  if (threadIdx.x == 0) pose.set(view, crop);
  __syncthreads();
  if (!pose.valid || pixel >= pixels) return;
  const T* grad = static_cast<const T*>(task.grad) + 3 * crop * plane + pixel;
  std::int64_t* sums = task.sums + crop / view.K * view.F * frame_size;
  Footprints<T, 1> prints;
  prints.set(view, pose, pixel);
  for (int row = -prints.most_rows; row <= prints.most_rows; ++row)
    for (int column = -prints.most_columns; column <= prints.most_columns; ++column) {
      Taps<T, 1> taps;
      taps.set(view, pose, prints, column, row);
      for (std::int64_t f = 0; f < view.F; ++f)
        for (int tap = 0; tap < 4; ++tap)
          for (int c = 0; c < 3; ++c) {
            const T value = taps.weight[tap][0] * grad[c * plane + f * pixels];
            auto* sum = reinterpret_cast<unsigned long long*>(sums + f * frame_size + taps.offset[tap][0] + c);
            atomicAdd(sum, static_cast<unsigned long long>(to_units(value, *task.unit)));
          }
    }
}

dim3 grid(const GnomonicView& view) { return dim3(unsigned(view.B * view.K * view.tiles())); }

template <class In, class T>
int run(const Gnomonic& task, void* stream) {
  if (task.jitter) {
    if (const int code = launch(grey_kernel<In, T>, grid(task.view), dim3(kThreads), 0, stream, task)) return code;
  }
  return launch(gnomonic_kernel<In, T>, grid(task.view), dim3(kThreads), 0, stream, task);
}

}  // namespace

int gnomonic_cuda(const Gnomonic& task, void* stream) {
  if (task.frames_dtype == Dtype::uint8) return run<std::uint8_t, float>(task, stream);
  if (task.frames_dtype == Dtype::float64) return run<double, double>(task, stream);
  return run<float, float>(task, stream);
}

int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? gnomonic_backward_kernel<double> : gnomonic_backward_kernel<float>;
  return launch(kernel, grid(task.view), dim3(kThreads), 0, stream, task);
}

}  // namespace avsa
