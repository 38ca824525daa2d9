#include <algorithm>

#include "core/clones.h"
#include "features/bins.h"

namespace avsa {
namespace {

constexpr int kLanes = 16;  // frames in a tile, side by side in vector registers: outputs too have frames innermost
constexpr int kViews = 4;   // views that share a tile's frames while these are gathered

// One pass over the bins of a tile of frames. In the bins between the peaks of bands n - 1 and n just these two bands
// are open: their sums are kept on the stack, and a finished band goes out at once.
template <class Shape, class T>
AVSA_HD void features_of_tile(const FeatureArrays<T>& a, std::int64_t b, std::int64_t frame, std::int64_t view) {
  constexpr int C = Shape::C, M = Shape::M, kChannels = Shape::kChannels;
  const int lanes = int(std::min<std::int64_t>(kLanes, a.F - frame));
  const int views = int(std::min<std::int64_t>(kViews, a.K - view));
  const double* matrix = a.matrix + (b * a.K + view) * M * C;
  T* out = a.out + (b * a.K + view) * kChannels * a.N * a.F + frame;
  T sums[2][kViews][kChannels][kLanes] = {};
  T weights[2] = {};
  std::int64_t offset[kLanes];  // of a lane's frame from the first; idle lanes repeat the last frame
  for (int l = 0; l < kLanes; ++l) offset[l] = std::min(l, lanes - 1) * a.J;

  for (std::int64_t n = 0; n <= a.N; ++n) {
    const int lower = (n + 1) & 1, upper = n & 1;  // the slots of bands n - 1 and n
    for (std::int64_t j = a.first[n]; j < a.first[n + 1]; ++j) {
      double x_re[C][kLanes], x_im[C][kLanes];
      for (int c = 0; c < C; ++c) {
        const Complex* bin = a.spectrum + ((b * C + c) * a.F + frame) * a.J + j;
        for (int l = 0; l < kLanes; ++l) {
          x_re[c][l] = bin[offset[l]].re;
          x_im[c][l] = bin[offset[l]].im;
        }
      }
      const T to_lower = n > 0 ? a.bank[j * a.N + n - 1] : T(0), to_upper = a.bank[j * a.N + n];
      weights[lower] += to_lower;
      weights[upper] += to_upper;
      for (int v = 0; v < views; ++v) {
#pragma omp simd
        for (int l = 0; l < kLanes; ++l) {
          double re[C], im[C];
          T value[kChannels];
          for (int c = 0; c < C; ++c) {
            re[c] = x_re[c][l];
            im[c] = x_im[c][l];
          }
          bin_features<Shape>(a, matrix + v * M * C, re, im, value);
          for (int channel = 0; channel < kChannels; ++channel) {
            sums[lower][v][channel][l] += to_lower * value[channel];
            sums[upper][v][channel][l] += to_upper * value[channel];
          }
        }
      }
    }
    if (n > 0) {
      for (int v = 0; v < views; ++v)
        for (int channel = 0; channel < kChannels; ++channel) {
          T feature[kLanes];
#pragma omp simd
          for (int l = 0; l < kLanes; ++l)
            feature[l] = band_feature<Shape>(channel, sums[lower][v][channel][l], weights[lower]);
          std::copy_n(feature, lanes, out + ((v * kChannels + channel) * a.N + n - 1) * a.F);
        }
    }
    std::fill_n(&sums[lower][0][0][0], views * kChannels * kLanes, T(0));  // for band n + 1
    weights[lower] = 0;
  }
}

template <class T>
AVSA_HD void tile_any(const FeatureArrays<T>& a, Spatial spatial, std::int64_t b, std::int64_t frame,
                      std::int64_t view) {
  with_shape(a.C, a.M, spatial,
             [&](auto shape) __attribute__((always_inline)) { features_of_tile<decltype(shape)>(a, b, frame, view); });
}

AVSA_CLONES void tile(const FeatureArrays<float>& a, Spatial spatial, std::int64_t b, std::int64_t frame,
                      std::int64_t view) {
  tile_any(a, spatial, b, frame, view);
}
AVSA_CLONES void tile(const FeatureArrays<double>& a, Spatial spatial, std::int64_t b, std::int64_t frame,
                      std::int64_t view) {
  tile_any(a, spatial, b, frame, view);
}

template <class T>
void features(const SpatialFeatures& task) {
  const FeatureArrays<T> a(task);
#pragma omp parallel for collapse(3) schedule(static)
  for (std::int64_t b = 0; b < a.B; ++b)
    for (std::int64_t frame = 0; frame < a.F; frame += kLanes)
      for (std::int64_t view = 0; view < a.K; view += kViews) tile(a, task.spatial, b, frame, view);
}

}  // namespace

void spatial_features_cpu(const SpatialFeatures& task) {
  task.dtype == Dtype::float64 ? features<double>(task) : features<float>(task);
}

}  // namespace avsa
