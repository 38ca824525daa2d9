// The gradient kernels of CUDA: with respect to frames by atomic additions of integers, with respect to poses by dual
// numbers.
#include "gnomonic/cuda/tile_block.h"
#include "gnomonic/pose_gradient.h"
#include "gnomonic/texels.h"

namespace avsa::gnomonic {
namespace {

// A part of the gradient as a whole number of units; 0 if the unit shows that a gradient was not finite.
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
  const double* unit = task.unit + crop / view.K * view.F;
  std::int64_t* sums = task.sums + crop / view.K * view.F * frame_size;
  const T scale = 1 / each_texel<T>(view, frames, pose.rays, column, row, [](const auto&) {});
  each_texel<T>(view, frames, pose.rays, column, row, [&](const auto& run) {
    std::int64_t element = run.begin;
    AVSA_UNROLL
    for (const T& weight : run.weight)
      for (int c = 0; c < 3; ++c, ++element)
        for (std::int64_t f = 0; f < view.F; ++f) {
          auto* sum = reinterpret_cast<unsigned long long*>(sums + f * frame_size + element);
          atomicAdd(sum, to_units(scale * weight * grad[c * plane + f * pixels], unit[f]));
        }
  });
}

// Block y computes the gradient with respect to parameter y: dual numbers with four derivatives do not fit into
// registers.
template <class In, class G>
__global__ void __launch_bounds__(kThreads, 1) gnomonic_pose_backward_kernel(GnomonicPoseBackward task) {
  __shared__ Rays<Dual<1>> rays;
  __shared__ bool valid;
  const GnomonicView& view = task.view;
  const std::int64_t crop = blockIdx.x / view.tiles(), pixel = blockIdx.x % view.tiles() * kThreads + threadIdx.x;
  if (threadIdx.x == 0) {
    PoseParameters pose;
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

}  // namespace

int gnomonic_backward_cuda(const GnomonicBackward& task, void* stream) {
  const auto kernel = task.dtype == Dtype::float64 ? gnomonic_backward_kernel<double> : gnomonic_backward_kernel<float>;
  return launch(kernel, tile_grid(task.view), dim3(kThreads), 0, stream, task, task.plane());
}

int gnomonic_pose_backward_cuda(const GnomonicPoseBackward& task, void* stream) {
  auto kernel = gnomonic_pose_backward_kernel<std::uint8_t, float>;
  if (task.frames_dtype == Dtype::float64) kernel = gnomonic_pose_backward_kernel<double, double>;
  if (task.frames_dtype == Dtype::float32) kernel = gnomonic_pose_backward_kernel<float, float>;
  return launch(kernel, dim3(tile_grid(task.view).x, kPoseParameters), dim3(kThreads), 0, stream, task);
}

}  // namespace avsa::gnomonic
