#include "ambisonics/mixing.h"
#include "core/launch.h"

namespace avsa::ambisonics {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) harmonics_kernel(const T* directions, T* out, std::int64_t N, int order) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= N) return;
  spherical_harmonics(unit_vector(double(directions[2 * i]), double(directions[2 * i + 1])), order,
                      out + i * (order + 1) * (order + 1));
}

template <class T>
int harmonics(const Harmonics& task, void* stream) {
  const dim3 grid(unsigned((task.N + kThreads - 1) / kThreads));
  return launch(harmonics_kernel<T>, grid, dim3(kThreads), 0, stream, static_cast<const T*>(task.directions),
                static_cast<T*>(task.out), task.N, task.order);
}

// One block a direction, one thread an element of the matrix of an order, order after order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    turns_kernel(const T* directions, const T* roll, const bool* flip, T* out, int order) {
  __shared__ Turn first, turns[2];
  const std::int64_t i = blockIdx.x;
  const int C = (order + 1) * (order + 1);
  out += i * C * C;
  for (int at = threadIdx.x; at < C * C; at += kThreads) {
    const int n = order_of(at / C);
    if (n == 0 || n != order_of(at % C)) out[at] = at == 0 ? T(1) : T(0);
  }
  if (threadIdx.x == 0) {
    const double azimuth = directions[2 * i], elevation = directions[2 * i + 1];
    first_turn(transpose(turn_front_to(azimuth, elevation, roll ? double(roll[i]) : 0.0)), first);
  }
  __syncthreads();
  for (int n = 1; n <= order; ++n) {
    const int size = 2 * n + 1, at = threadIdx.x;
    if (at < size * size) {
      const int m = at / size - n, k = at % size - n;
      const double element =
          n == 1 ? first.at[m + 1][k + 1] : turn_element(n, m, k, first, n == 2 ? first : turns[(n - 1) % 2]);
      turns[n % 2].at[m + n][k + n] = element;
      const double mirror = flip && flip[i] && m < 0 ? -1 : 1;  // harmonics of m < 0 are odd in y
      out[(n * (n + 1) + m) * C + n * (n + 1) + k] = T(mirror * element);
    }
    __syncthreads();
  }
}
static_assert((2 * kMaxOrder + 1) * (2 * kMaxOrder + 1) <= kThreads);

template <class T>
int turns(const Turns& task, void* stream) {
  return launch(turns_kernel<T>, dim3(unsigned(task.N)), dim3(kThreads), 0, stream,
                static_cast<const T*>(task.directions), static_cast<const T*>(task.roll), task.flip,
                static_cast<T*>(task.out), task.order);
}

// --- mixing ---

constexpr int kRows = 8;      // outputs that share each load of a channel
constexpr int kColumns = 32;  // channels whose gains are in shared memory at a time

template <class S, int V>
struct alignas(V * sizeof(S)) Pack {
  S x[V];
};

// A block mixes one slice of the matrix over kThreads * V samples of a scene, V neighbours a thread.
template <class S, int V>
__global__ void __launch_bounds__(kThreads) mix_kernel(const S* signals, const Number<S>* matrix, S* out,
                                                       Slices<kRows> slices, std::int64_t T, std::int64_t blocks) {
  __shared__ Number<S> gains[kColumns][kRows];
  const std::int64_t t = (blockIdx.x % blocks * kThreads + threadIdx.x) * V, rest = blockIdx.x / blocks;
  const std::int64_t b = rest / slices.count();
  const Slice slice = slices[rest % slices.count()];
  const S* in = signals + (b * slices.C + slice.column) * T + t;
  matrix += (b * slices.R + slice.row) * slices.C + slice.column;
  Number<S> sum[kRows][V] = {};
  for (std::int64_t first = 0; first < slice.columns; first += kColumns) {
    const int count = int(slice.columns - first < kColumns ? slice.columns - first : kColumns);
    __syncthreads();
    for (int at = threadIdx.x; at < count * kRows; at += kThreads) {
      const int r = at % kRows, c = at / kRows;
      gains[c][r] = r < slice.rows ? matrix[r * slices.C + first + c] : Number<S>(0);
    }
    __syncthreads();
    if (t >= T) continue;
    for (int c = 0; c < count; ++c) {
      const Pack<S, V> pack = *reinterpret_cast<const Pack<S, V>*>(in + (first + c) * T);
      AVSA_UNROLL
      for (int r = 0; r < kRows; ++r) AVSA_UNROLL
      for (int v = 0; v < V; ++v) sum[r][v] += gains[c][r] * widen(pack.x[v]);
    }
  }
  if (t >= T) return;
  AVSA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    if (r >= slice.rows) break;
    Pack<S, V> pack;
    AVSA_UNROLL
    for (int v = 0; v < V; ++v) narrow(sum[r][v], pack.x[v]);
    *reinterpret_cast<Pack<S, V>*>(out + (b * slices.R + slice.row + r) * T + t) = pack;
  }
}

template <class S, int V>
int mix(const Mix& task, void* stream) {
  const Slices<kRows> slices(task);
  const std::int64_t blocks = (task.T + kThreads * V - 1) / (kThreads * V);
  return launch(mix_kernel<S, V>, dim3(unsigned(blocks * slices.count() * task.B)), dim3(kThreads), 0, stream,
                static_cast<const S*>(task.signals), static_cast<const Number<S>*>(task.matrix),
                static_cast<S*>(task.out), slices, task.T, blocks);
}

}  // namespace

int harmonics_cuda(const Harmonics& task, void* stream) {
  return task.dtype == Dtype::float64 ? harmonics<double>(task, stream) : harmonics<float>(task, stream);
}

int turns_cuda(const Turns& task, void* stream) {
  return task.dtype == Dtype::float64 ? turns<double>(task, stream) : turns<float>(task, stream);
}

int mix_cuda(const Mix& task, void* stream) {
  return with_samples(task.dtype, [&](auto sample) {
    using S = decltype(sample);
    constexpr int V = sizeof(S) == 8 ? 2 : 4;
    const auto addresses = reinterpret_cast<std::uintptr_t>(task.signals) | reinterpret_cast<std::uintptr_t>(task.out);
    const bool packed = task.T % V == 0 && addresses % (V * sizeof(S)) == 0;
    return packed ? mix<S, V>(task, stream) : mix<S, 1>(task, stream);
  });
}

}  // namespace avsa::ambisonics
