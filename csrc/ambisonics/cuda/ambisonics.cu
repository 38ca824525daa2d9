// Device kernels of ambisonics.h. Called by the Python bindings.
#include "ambisonics/mixing.h"
#include "core/launch.h"
#include "core/vectors.h"

namespace avsa::ambisonics {
namespace {

constexpr int kThreads = 256;

// The elevation of a direction [2]; NaN if it is beyond kMaxElevation.
template <class T>
__device__ double valid_elevation(const T* direction) {
  const double elevation = direction[1];
  return fabs(elevation) <= kMaxElevation ? elevation : double(NAN);
}

template <class T>
__global__ void __launch_bounds__(kThreads) harmonics_kernel(const T* directions, T* out, std::int64_t N, int order) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= N) return;
  spherical_harmonics(unit_vector(double(directions[2 * i]), valid_elevation(directions + 2 * i)), order,
                      out + i * (order + 1) * (order + 1));
}

template <class T>
int harmonics(const Harmonics& task, void* stream) {
  const dim3 grid(unsigned((task.N + kThreads - 1) / kThreads));
  return launch(harmonics_kernel<T>, grid, dim3(kThreads), 0, stream, static_cast<const T*>(task.directions),
                static_cast<T*>(task.out), task.N, task.order);
}

// One block per direction, one thread per element of an order's matrix, order after order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    rotation_matrices_kernel(const T* directions, const T* roll, const bool* flip, T* out, int order) {
  __shared__ RotationMatrix first, matrices[2];
  const std::int64_t i = blockIdx.x;
  const int C = (order + 1) * (order + 1);
  out += i * C * C;
  for (int element = threadIdx.x; element < C * C; element += kThreads) {
    const int n = order_of(element / C);
    if (n == 0 || n != order_of(element % C)) out[element] = element == 0 ? T(1) : T(0);
  }
  if (threadIdx.x == 0) {
    const double azimuth = directions[2 * i], elevation = valid_elevation(directions + 2 * i);
    first_order_rotation(transpose(rotation_from_front(azimuth, elevation, roll ? double(roll[i]) : 0.0)), first);
  }
  __syncthreads();
  for (int n = 1; n <= order; ++n) {
    const int size = 2 * n + 1, thread = threadIdx.x;
    if (thread < size * size) {
      const int m = thread / size - n, k = thread % size - n;
      const double element =
          n == 1 ? first.at[m + 1][k + 1] : rotation_element(n, m, k, first, n == 2 ? first : matrices[(n - 1) % 2]);
      matrices[n % 2].at[m + n][k + n] = element;
      const double mirror = flip && flip[i] && m < 0 ? -1 : 1;  // harmonics of m < 0 are odd in y
      out[(n * (n + 1) + m) * C + n * (n + 1) + k] = T(mirror * element);
    }
    __syncthreads();
  }
}
static_assert((2 * kMaxOrder + 1) * (2 * kMaxOrder + 1) <= kThreads);

template <class T>
int rotation_matrices(const RotationMatrices& task, void* stream) {
  return launch(rotation_matrices_kernel<T>, dim3(unsigned(task.N)), dim3(kThreads), 0, stream,
                static_cast<const T*>(task.directions), static_cast<const T*>(task.roll), task.flip,
                static_cast<T*>(task.out), task.order);
}

// --- mixing ---

constexpr int kMaxRows = 8;       // rows that share each load of a sample
constexpr int kMaxChannels = 32;  // channels whose gains are in shared memory at a time

// Consecutive samples that are loaded and stored at once.
template <class S, int V>
struct alignas(V * sizeof(S)) Samples {
  S at[V];
};

// One block of threads per row block of the matrix and kThreads * V samples of a scene, V consecutive ones per thread.
// signals [B, C, T], matrix [B, R, C], out [B, R, T]; `tiles` blocks of threads cover T.
template <class S, int V>
__global__ void __launch_bounds__(kThreads) mix_kernel(const S* signals, const Gain<S>* matrix, S* out,
                                                       RowBlocks<kMaxRows> blocks, std::int64_t T, std::int64_t tiles) {
  __shared__ Gain<S> gains[kMaxChannels][kMaxRows];
  const std::int64_t t = (blockIdx.x % tiles * kThreads + threadIdx.x) * V, rest = blockIdx.x / tiles;
  const std::int64_t b = rest / blocks.count();
  const RowBlock block = blocks[rest % blocks.count()];
  const S* in = signals + (b * blocks.C + block.channel) * T + t;
  matrix += (b * blocks.R + block.row) * blocks.C + block.channel;
  Gain<S> sums[kMaxRows][V] = {};
  for (std::int64_t first = 0; first < block.channels; first += kMaxChannels) {
    const int count = int(block.channels - first < kMaxChannels ? block.channels - first : kMaxChannels);
    __syncthreads();
    for (int i = threadIdx.x; i < count * kMaxRows; i += kThreads) {
      const int r = i % kMaxRows, c = i / kMaxRows;
      gains[c][r] = r < block.rows ? matrix[r * blocks.C + first + c] : Gain<S>(0);
    }
    __syncthreads();
    if (t >= T) continue;
    AVSA_UNROLL_BY_4  // several loads are under way
        for (int c = 0; c < count; ++c) {
      const Samples<S, V> x = load_vector(reinterpret_cast<const Samples<S, V>*>(in + (first + c) * T));
      AVSA_UNROLL
      for (int r = 0; r < kMaxRows; ++r) AVSA_UNROLL
      for (int v = 0; v < V; ++v) sums[r][v] += gains[c][r] * widen(x.at[v]);
    }
  }
  if (t >= T) return;
  AVSA_UNROLL
  for (int r = 0; r < kMaxRows; ++r) {
    if (r >= block.rows) break;
    Samples<S, V> y;
    AVSA_UNROLL
    for (int v = 0; v < V; ++v) narrow(sums[r][v], y.at[v]);
    store_streaming(reinterpret_cast<Samples<S, V>*>(out + (b * blocks.R + block.row + r) * T + t), y);
  }
}

template <class S, int V>
int mix(const Mix& task, void* stream) {
  const RowBlocks<kMaxRows> blocks(task);
  const std::int64_t tiles = (task.T + kThreads * V - 1) / (kThreads * V);
  return launch(mix_kernel<S, V>, dim3(unsigned(tiles * blocks.count() * task.B)), dim3(kThreads), 0, stream,
                static_cast<const S*>(task.signals), static_cast<const Gain<S>*>(task.matrix),
                static_cast<S*>(task.out), blocks, task.T, tiles);
}

}  // namespace

int harmonics_cuda(const Harmonics& task, void* stream) {
  return task.dtype == Dtype::float64 ? harmonics<double>(task, stream) : harmonics<float>(task, stream);
}

int rotation_matrices_cuda(const RotationMatrices& task, void* stream) {
  return task.dtype == Dtype::float64 ? rotation_matrices<double>(task, stream)
                                      : rotation_matrices<float>(task, stream);
}

int mix_cuda(const Mix& task, void* stream) {
  return with_sample_type(task.dtype, [&](auto sample) {
    using S = decltype(sample);
    constexpr int V = sizeof(S) == 8 ? 2 : 4;
    const auto addresses = reinterpret_cast<std::uintptr_t>(task.signals) | reinterpret_cast<std::uintptr_t>(task.out);
    const bool aligned = task.T % V == 0 && addresses % (V * sizeof(S)) == 0;
    return aligned ? mix<S, V>(task, stream) : mix<S, 1>(task, stream);
  });
}

}  // namespace avsa::ambisonics
