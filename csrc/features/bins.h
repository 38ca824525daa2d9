// What the host and the device kernel share: the features of one bin of one view, and which shapes there are.
#pragma once
#include <limits>

#include "core/log.h"
#include "core/vector.h"
#include "features/features.h"

namespace avsa {

struct Complex {
  double re, im;
};

// The arrays of a task with their type. Spectrum and matrix are float64 whatever the features are: a mix can all but
// cancel in one of a view's channels, and of a quiet bin the intensity and the phase count as much as of a loud one.
template <class T>
struct FeatureArrays {
  const Complex* spectrum;
  const double* matrix;
  const T* bank;
  const std::int64_t* first;
  T* out;
  T gain, w, xyz, norm;
  std::int64_t B, C, K, M, F, J, N;

  explicit FeatureArrays(const SpatialFeatures& t)
      : spectrum(reinterpret_cast<const Complex*>(t.spectrum)),
        matrix(t.matrix),
        bank(static_cast<const T*>(t.bank)),
        first(t.first),
        out(static_cast<T*>(t.out)),
        gain(T(t.intensity.gain)),
        w(T(t.intensity.w)),
        xyz(T(t.intensity.xyz)),
        norm(T(t.intensity.norm)),
        B(t.B),
        C(t.C),
        K(t.K),
        M(t.M),
        F(t.F),
        J(t.J),
        N(t.N) {}
};

template <class T>
constexpr T kSmallestNormal = std::numeric_limits<T>::min();

// A view's shape: C channels mixed to M, then features of kind S.
template <int C_, int M_, Spatial S_>
struct ViewShape {
  static constexpr int C = C_, M = M_, kChannels = M + (S_ == Spatial::none ? 0 : 3);
  static constexpr Spatial S = S_;
};

// Calls run(ViewShape) for the task's; ops makes no other.
template <class Run>
inline __attribute__((always_inline)) void with_shape(std::int64_t C, std::int64_t M, Spatial S, const Run& run) {
  if (M == 4) {
    S == Spatial::iv ? run(ViewShape<4, 4, Spatial::iv>()) : run(ViewShape<4, 4, Spatial::none>());
  } else if (M == 2 && C == 4) {
    S == Spatial::icf ? run(ViewShape<4, 2, Spatial::icf>()) : run(ViewShape<4, 2, Spatial::none>());
  } else if (M == 2) {
    S == Spatial::icf ? run(ViewShape<2, 2, Spatial::icf>()) : run(ViewShape<2, 2, Spatial::none>());
  } else {
    C == 4 ? run(ViewShape<4, 1, Spatial::none>()) : run(ViewShape<1, 1, Spatial::none>());
  }
}

// What a bin adds to its bands: the power of each of the view's channels, then its intensity vector or ICF.
// x_re, x_im: the scene's channels; matrix: [M, C].
template <class Shape, class T>
AVSA_HD void bin_features(const FeatureArrays<T>& a, const double* matrix, const double (&x_re)[Shape::C],
                          const double (&x_im)[Shape::C], T (&value)[Shape::kChannels]) {
  constexpr int C = Shape::C, M = Shape::M;
  T re[M], im[M];
  for (int m = 0; m < M; ++m) {
    double sum_re = 0, sum_im = 0;
    for (int c = 0; c < C; ++c) {
      sum_re += matrix[m * C + c] * x_re[c];
      sum_im += matrix[m * C + c] * x_im[c];
    }
    re[m] = T(sum_re);
    im[m] = T(sum_im);
    value[m] = re[m] * re[m] + im[m] * im[m];
  }
  if constexpr (Shape::S == Spatial::iv) {  // channels W, Y, Z, X
    const T jx = re[0] * re[3] + im[0] * im[3], jy = re[0] * re[1] + im[0] * im[1], jz = re[0] * re[2] + im[0] * im[2];
    const T length = std::sqrt(jx * jx + jy * jy + jz * jz);
    const T total = T(1e-12) + a.w * value[0] + a.xyz * (value[1] + value[2] + value[3]) + a.norm * length;
    const T factor = a.gain / total;
    value[4] = factor * jx;
    value[5] = factor * jy;
    value[6] = factor * jz;
  } else if constexpr (Shape::S == Spatial::icf) {  // channels L, R
    constexpr T kFloor = T(1e-16);
    const T left = value[0] < kFloor ? kFloor : value[0], right = value[1] < kFloor ? kFloor : value[1];
    const T cosine = re[0] * re[1] + im[0] * im[1], sine = im[0] * re[1] - re[0] * im[1];
    const T squared = cosine * cosine + sine * sine;
    const bool silent = squared < kSmallestNormal<T>;  // NaN is not silent
    const T factor = 1 / std::sqrt(silent ? T(1) : squared);
    value[2] = log_normal(left) - log_normal(right);
    value[3] = silent ? T(1) : factor * cosine;
    value[4] = silent ? T(0) : factor * sine;
  }
}

// A band's feature from the sums over its bins.
template <class Shape, class T>
AVSA_HD T band_feature(int channel, T sum, T weights) {
  if (channel >= Shape::M) return sum / weights;
  return log_normal(sum < T(1e-10) ? T(1e-10) : sum);
}

}  // namespace avsa
