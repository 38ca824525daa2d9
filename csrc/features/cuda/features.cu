// Device kernel of spatial_features. Called by the Python bindings.
#include "core/launch.h"
#include "features/bins.h"

namespace avsa::features {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxViews = 1 << 16;      // written at a time: their values are indexed in 32 bits
constexpr std::size_t kSharedTarget = 96 << 10;  // bytes of shared memory with which two blocks fit on a multiprocessor

// Offsets of a block's arrays in shared memory, in doubles.
template <class Shape>
struct Layout {
  static constexpr int kPairs = (Shape::C + 1) / 2;  // channels that are transformed as one complex sequence
  int n, J, N, frames;
  int group = Shape::kSums;  // of a bin's values, how many are in memory at a time

  __host__ __device__ int buffer(int i) const { return i * kPairs * 2 * n; }  // [kPairs, n] complex, i = 0, 1
  __host__ __device__ int bins() const { return buffer(2); }                  // [group, J]
  __host__ __device__ int bands() const { return bins() + group * J; }        // [frames, kSums, N]
  __host__ __device__ int size() const { return bands() + frames * Shape::kSums * N; }
  std::size_t bytes() const { return size() * sizeof(double); }

  // As many frames as the target allows, since features of consecutive frames are contiguous in memory. Where the
  // device has too little memory for all of a bin's values, they are computed again for each group of them.
  Layout(const SpatialFeatures& t) : n(int(t.n_fft)), J(n / 2 + 1), N(int(t.N)), frames(Shape::kPerView ? 1 : 8) {
    while (frames > 1 && bytes() > kSharedTarget) frames /= 2;
    const std::size_t limit = max_shared_bytes();
    while (group > 1 && bytes() > limit) --group;
  }
};

// Writes the features of `count` views from the bands [frames, kSums, N] of a block's frames; consecutive threads write
// consecutive frames.
template <class Shape, class T>
__device__ void write_views(const SpatialFeatures& a, const Layout<Shape>& layout, const double* bands, std::int64_t b,
                            std::int64_t first_view, std::int64_t count, std::int64_t F, std::int64_t start,
                            int frames) {
  const int N = layout.N;
  const unsigned per_view = unsigned(N * frames), all = unsigned(count) * per_view;
  for (unsigned i = threadIdx.x; i < all; i += kThreads) {
    const int frame = int(i % unsigned(frames)), band = int(i / unsigned(frames) % unsigned(N));
    const std::int64_t view = b * a.K + first_view + i / per_view;
    double sums[Shape::kSums], weight = 0;
    for (int s = 0; s < Shape::kSums; ++s) sums[s] = bands[(frame * Shape::kSums + s) * N + band];
    for (std::int64_t j = a.first[band]; j < a.first[band + 2]; ++j) weight += a.bank[j * N + band];
    T* out = static_cast<T*>(a.out) + (view * Shape::kChannels * N + band) * F + start + frame;
    AVSA_UNROLL
    for (int channel = 0; channel < Shape::kChannels; ++channel) {
      const double value = band_feature<Shape>(a.matrix + view * Shape::M * Shape::C, channel, sums, weight);
      out[channel * N * F] = channel < Shape::M ? log_power<T>(value) : T(value);
    }
  }
}

// One block per tile, which is a few frames of all channels of a scene: each frame is windowed and transformed in
// shared memory and summed to bands; then the block writes the features of all views.
template <class Shape, class T>
__global__ void __launch_bounds__(kThreads)
    features_kernel(SpatialFeatures a, Layout<Shape> layout, std::int64_t F, unsigned tiles) {
  constexpr int C = Shape::C, M = Shape::M, kPairs = Layout<Shape>::kPairs;
  double* shared = dynamic_shared<double>();
  const std::int64_t b = blockIdx.x / tiles, start = std::int64_t(blockIdx.x % tiles) * layout.frames;
  const int n = layout.n, J = layout.J, N = layout.N, thread = threadIdx.x;
  const int frames = int(F - start < layout.frames ? F - start : layout.frames);
  const Complex<double>* roots = reinterpret_cast<const Complex<double>*>(a.roots);
  double *bins = shared + layout.bins(), *bands = shared + layout.bands();

  for (int frame = 0; frame < frames; ++frame) {
    Complex<double>* in = reinterpret_cast<Complex<double>*>(shared + layout.buffer(0));
    Complex<double>* out = reinterpret_cast<Complex<double>*>(shared + layout.buffer(1));
    const T* samples = static_cast<const T*>(a.signals) + b * C * a.T + (start + frame) * a.hop;
    for (int i = thread; i < kPairs * n; i += kThreads) {
      const int j = i % n, channel = i / n * 2;
      const double half = 0.5 * a.window[j];
      in[i].re = half * samples[channel * a.T + j];
      in[i].im = channel + 1 < C ? half * samples[(channel + 1) * a.T + j] : 0.0;
    }
    __syncthreads();
    for (FftPass pass = FftPass::first(n); !pass.done(); pass = pass.next()) {
      const int count = n / pass.radix;
      for (int i = thread; i < kPairs * count; i += kThreads) {
        const int pair = i / count, p = i % count / pass.stride, q = i % count % pass.stride;
        butterfly(pass, roots, in + pair * n, out + pair * n, p, q);
      }
      __syncthreads();
      Complex<double>* result = out;
      out = in;
      in = result;
    }
    const std::int64_t views = Shape::kPerView ? 1 : a.K;  // per pass over the bins
    for (std::int64_t view = 0; view < a.K; view += views) {
      const double* matrix = a.matrix + (b * a.K + view) * M * C;
      for (int first = 0; first < Shape::kSums; first += layout.group) {
        for (int j = thread; j < J; j += kThreads) {
          Complex<double> x[C], two[2];
          for (int pair = 0; pair < kPairs; ++pair) {
            split_bin(in + pair * n, n, j, two[0], two[1]);
            for (int c = 2 * pair; c < C && c < 2 * pair + 2; ++c) x[c] = two[c % 2];
          }
          double values[Shape::kSums];
          bin_values<Shape, T>(a.intensity, matrix, x, values);
          AVSA_UNROLL
          for (int i = 0; i < Shape::kSums; ++i)
            if (i >= first && i < first + layout.group) bins[(i - first) * J + j] = values[i];
        }
        __syncthreads();
        const int count = layout.group < Shape::kSums - first ? layout.group : Shape::kSums - first;
        for (int i = thread; i < count * N; i += kThreads) {
          const int band = i % N;
          const double* values = bins + i / N * J;
          double sum = 0;
          for (std::int64_t j = a.first[band]; j < a.first[band + 2]; ++j) sum += a.bank[j * N + band] * values[j];
          bands[(frame * Shape::kSums + first) * N + i] = sum;
        }
        __syncthreads();
      }
      if (Shape::kPerView) write_views<Shape, T>(a, layout, bands, b, view, 1, F, start, frames);
    }
  }
  if (Shape::kPerView) return;
  for (std::int64_t view = 0; view < a.K; view += kMaxViews) {
    const std::int64_t count = a.K - view < kMaxViews ? a.K - view : kMaxViews;
    write_views<Shape, T>(a, layout, bands, b, view, count, F, start, frames);
  }
}

template <class Shape, class T>
int features(const SpatialFeatures& task, void* stream) {
  const Layout<Shape> layout(task);
  const std::int64_t F = 1 + (task.T - task.n_fft) / task.hop, tiles = (F + layout.frames - 1) / layout.frames;
  return launch(features_kernel<Shape, T>, dim3(unsigned(task.B * tiles)), dim3(kThreads), layout.bytes(), stream, task,
                layout, F, tiles);
}

}  // namespace

int spatial_features_cuda(const SpatialFeatures& task, void* stream) {
  return with_shape(task, [&](auto shape) {
    using Shape = decltype(shape);
    return task.dtype == Dtype::float64 ? features<Shape, double>(task, stream) : features<Shape, float>(task, stream);
  });
}

}  // namespace avsa::features
