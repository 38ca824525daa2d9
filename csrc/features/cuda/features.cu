#include "core/launch.h"
#include "features/bins.h"

namespace avsa::features {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostViews = 1 << 16;    // written at a time: their values are numbered in 32 bits
constexpr std::size_t kComfortable = 96 << 10;  // bytes of shared memory with which two blocks fit a multiprocessor

// Where a block's arrays are in shared memory, in doubles. Spectra never leave it.
template <class Shape>
struct Layout {
  static constexpr int kPacks = (Shape::C + 1) / 2;  // two channels are transformed as one
  int n, J, N, frames;

  __host__ __device__ int buffer(int i) const { return i * kPacks * 2 * n; }   // [kPacks, n] complex, i = 0, 1
  __host__ __device__ int bins() const { return buffer(2); }                   // [kSums, J]
  __host__ __device__ int bands() const { return bins() + Shape::kSums * J; }  // [frames, kSums, N]
  __host__ __device__ int size() const { return bands() + frames * Shape::kSums * N; }

  // As many frames as fit comfortably: their features are written side by side.
  Layout(const SpatialFeatures& t) : n(int(t.n_fft)), J(n / 2 + 1), N(int(t.N)), frames(Shape::kByView ? 1 : 8) {
    while (frames > 1 && size() * sizeof(double) > kComfortable) frames /= 2;
  }
};

// The features of `count` views from the bands of a block's frames; neighbouring threads write neighbouring frames.
template <class Shape, class T>
__device__ void write_views(const SpatialFeatures& a, const Layout<Shape>& layout, const double* bands, std::int64_t b,
                            std::int64_t from, std::int64_t count, std::int64_t F, std::int64_t start, int frames) {
  const int N = layout.N;
  const unsigned cells = unsigned(N * frames), all = unsigned(count) * cells;
  for (unsigned at = threadIdx.x; at < all; at += kThreads) {
    const int frame = int(at % unsigned(frames)), band = int(at / unsigned(frames) % unsigned(N));
    const std::int64_t view = b * a.K + from + at / cells;
    double sums[Shape::kSums], weight = 0;
    for (int i = 0; i < Shape::kSums; ++i) sums[i] = bands[(frame * Shape::kSums + i) * N + band];
    for (std::int64_t j = a.first[band]; j < a.first[band + 2]; ++j) weight += a.bank[j * N + band];
    T* out = static_cast<T*>(a.out) + (view * Shape::kChannels * N + band) * F + start + frame;
    AVSA_UNROLL
    for (int channel = 0; channel < Shape::kChannels; ++channel) {
      const double value = band_feature<Shape>(a.matrix + view * Shape::M * Shape::C, channel, sums, weight);
      out[channel * N * F] = channel < Shape::M ? log_of_power<T>(value) : T(value);
    }
  }
}

// One block for all channels of a few frames: windowed and transformed in shared memory, one frame after another,
// summed to bands, and then the features of all views at once.
template <class Shape, class T>
__global__ void __launch_bounds__(kThreads)
    features_kernel(SpatialFeatures a, Layout<Shape> layout, std::int64_t F, unsigned tiles) {
  constexpr int C = Shape::C, M = Shape::M, kPacks = Layout<Shape>::kPacks;
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
    for (int at = thread; at < kPacks * n; at += kThreads) {
      const int j = at % n, channel = at / n * 2;
      const double half = 0.5 * a.window[j];
      in[at].re = half * samples[channel * a.T + j];
      in[at].im = channel + 1 < C ? half * samples[(channel + 1) * a.T + j] : 0.0;
    }
    __syncthreads();
    for (FftPass pass = FftPass::first(n); !pass.done(); pass = pass.next()) {
      const int count = n / pass.radix;
      for (int at = thread; at < kPacks * count; at += kThreads) {
        const int pack = at / count, i = at % count;
        butterfly(pass, roots, in + pack * n, out + pack * n, i / pass.stride, i % pass.stride);
      }
      __syncthreads();
      Complex<double>* made = out;
      out = in;
      in = made;
    }
    const std::int64_t step = Shape::kByView ? 1 : a.K;  // views that a pass over the bins serves
    for (std::int64_t from = 0; from < a.K; from += step) {
      const double* matrix = a.matrix + (b * a.K + from) * M * C;
      for (int j = thread; j < J; j += kThreads) {
        Complex<double> x[C], pair[2];
        for (int pack = 0; pack < kPacks; ++pack) {
          split_bin(in + pack * n, n, j, pair[0], pair[1]);
          for (int c = 2 * pack; c < C && c < 2 * pack + 2; ++c) x[c] = pair[c % 2];
        }
        double values[Shape::kSums];
        bin_sums<Shape, T>(a.intensity, matrix, x, values);
        for (int i = 0; i < Shape::kSums; ++i) bins[i * J + j] = values[i];
      }
      __syncthreads();
      for (int at = thread; at < Shape::kSums * N; at += kThreads) {
        const int band = at % N;
        const double* values = bins + at / N * J;
        double sum = 0;
        for (std::int64_t j = a.first[band]; j < a.first[band + 2]; ++j) sum += a.bank[j * N + band] * values[j];
        bands[frame * Shape::kSums * N + at] = sum;
      }
      __syncthreads();
      if (Shape::kByView) write_views<Shape, T>(a, layout, bands, b, from, 1, F, start, frames);
    }
  }
  if (Shape::kByView) return;
  for (std::int64_t from = 0; from < a.K; from += kMostViews) {
    const std::int64_t count = a.K - from < kMostViews ? a.K - from : kMostViews;
    write_views<Shape, T>(a, layout, bands, b, from, count, F, start, frames);
  }
}

template <class Shape, class T>
int features(const SpatialFeatures& task, void* stream) {
  const Layout<Shape> layout(task);
  const std::int64_t F = 1 + (task.T - task.n_fft) / task.hop, tiles = (F + layout.frames - 1) / layout.frames;
  return launch(features_kernel<Shape, T>, dim3(unsigned(task.B * tiles)), dim3(kThreads),
                layout.size() * sizeof(double), stream, task, layout, F, tiles);
}

}  // namespace

int spatial_features_cuda(const SpatialFeatures& task, void* stream) {
  return with_shape(task, [&](auto shape) {
    using Shape = decltype(shape);
    return task.dtype == Dtype::float64 ? features<Shape, double>(task, stream) : features<Shape, float>(task, stream);
  });
}

}  // namespace avsa::features
