// What a frequency bin adds to its mel bands, and the features of a band. Called by the host and device kernels.
//
// Powers and intensities of all views follow from sums over a band that are the same for all views: the products of
// channels, of which a view's power is a quadratic form, and the intensity vector, whose norm no rotation changes and
// which rotates with the view. Inter-channel features are not linear: their bins are computed for each view.
//
// All of it is float64 for any dtype: a float32 transform has an error of 1e-7 of the loudest bin in every bin,
// channels of a mix may almost cancel, and the intensity and phase of a quiet bin count as much as those of a loud one.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "features/features.h"
#include "features/fft.h"

namespace avsa::features {

// Views of M channels mixed from C, with spatial features S.
template <int C_, int M_, Spatial S_>
struct ViewShape {
  static constexpr int C = C_, M = M_, kChannels = M + (S_ == Spatial::none ? 0 : 3);
  static constexpr Spatial S = S_;
  static constexpr bool kPerView = S == Spatial::icf;  // bins are computed for each view
  static constexpr int kProducts = kPerView ? M : C * (C + 1) / 2;
  static constexpr int kSums = kProducts + (S == Spatial::none ? 0 : 3);  // per band
};

// Calls run(ViewShape<C, M, S>()) for the task's C, M and spatial, which the caller has checked.
template <class Run>
inline auto with_shape(const SpatialFeatures& task, const Run& run) {
  if (task.M == 4)
    return task.spatial == Spatial::iv ? run(ViewShape<4, 4, Spatial::iv>()) : run(ViewShape<4, 4, Spatial::none>());
  if (task.M == 1) return run(ViewShape<1, 1, Spatial::none>());
  if (task.C == 4)
    return task.spatial == Spatial::icf ? run(ViewShape<4, 2, Spatial::icf>()) : run(ViewShape<4, 2, Spatial::none>());
  return task.spatial == Spatial::icf ? run(ViewShape<2, 2, Spatial::icf>()) : run(ViewShape<2, 2, Spatial::none>());
}

// Natural logarithm of a positive normal float, infinity or NaN, within 2 units in the last place. Compilers vectorise
// it, unlike calls of the standard library's.
AVSA_HD float log_normal(float x) {
#ifdef __CUDA_ARCH__
  return logf(x);
#else
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1).
  constexpr std::int32_t kRootHalf = 0x3f3504f3;
  const std::int32_t bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t e = (bits - kRootHalf) >> 23;
  const float m = std::bit_cast<float>(bits - (e << 23));
  const float s = (m - 1) / (m + 1), q = s * s;
  const float tail = q * (1 / 3.f + q * (1 / 5.f + q * (1 / 7.f + q * (1 / 9.f))));
  const float log = float(e) * 0.693147181f + (2 * s + 2 * s * tail);
  return x < std::numeric_limits<float>::infinity() ? log : x;
#endif
}

AVSA_HD double log_normal(double x) { return std::log(x); }

// Inter-channel features of a bin from the powers of L and R and the cross-spectrum L conj(R): the level difference
// 2 log |L| - 2 log |R| with a floor under each, cosine and sine of the phase difference, 0 if a side is silent.
template <class T>
AVSA_HD void level_and_phase(double left, double right, const Complex<double>& cross, double (&out)[3]) {
  constexpr double kFloor = 1e-16;
  const double squared = cross.re * cross.re + cross.im * cross.im;
  const bool silent = squared < std::numeric_limits<double>::min();  // false for NaN
  const double factor = 1 / std::sqrt(silent ? 1.0 : squared);
  out[0] = log_normal(T(left < kFloor ? kFloor : left)) - log_normal(T(right < kFloor ? kFloor : right));
  out[1] = silent ? 1.0 : factor * cross.re;
  out[2] = silent ? 0.0 : factor * cross.im;
}

// What a bin x of the scene's channels adds to its bands; matrix [M, C] of a view is read only if Shape::kPerView.
template <class Shape, class T, class V>
AVSA_HD void bin_values(const Intensity& intensity, const double* matrix, const Complex<V> (&x)[Shape::C],
                        V (&out)[Shape::kSums]) {
  using std::sqrt;
  if constexpr (Shape::kPerView) {
    Complex<V> side[2];
    for (int m = 0; m < 2; ++m) {
      side[m] = {V(0), V(0)};
      for (int c = 0; c < Shape::C; ++c) {
        const V gain(matrix[m * Shape::C + c]);
        side[m].re = side[m].re + gain * x[c].re;
        side[m].im = side[m].im + gain * x[c].im;
      }
      out[m] = side[m].re * side[m].re + side[m].im * side[m].im;
    }
    const Complex<V> cross = {side[0].re * side[1].re + side[0].im * side[1].im,
                              side[0].im * side[1].re - side[0].re * side[1].im};
    V features[3];
    level_and_phase<T>(out[0], out[1], cross, features);
    for (int i = 0; i < 3; ++i) out[2 + i] = features[i];
  } else {
    int product = 0;
    for (int a = 0; a < Shape::C; ++a)
      for (int b = a; b < Shape::C; ++b) out[product++] = x[a].re * x[b].re + x[a].im * x[b].im;
    if constexpr (Shape::S == Spatial::iv) {  // products of W, Y, Z, X: WW WY WZ WX YY YZ YX ZZ ZX XX
      V total = V(1e-12) + V(intensity.w) * out[0] + V(intensity.xyz) * (out[4] + out[7] + out[9]);
      if (intensity.norm != 0)
        total = total + V(intensity.norm) * sqrt(out[1] * out[1] + out[2] * out[2] + out[3] * out[3]);
      const V factor = V(intensity.gain) / total;
      for (int i = 0; i < 3; ++i) out[10 + i] = factor * out[1 + i];
    }
  }
}

// A channel of a band of the view of `matrix` [M, C], as a power for the mel channels, from the band's weighted sums of
// bin_values. `weight`: the sum of the band's mel weights.
template <class Shape, class V>
AVSA_HD V band_feature(const double* matrix, int channel, const V (&sums)[Shape::kSums], double weight) {
  constexpr int C = Shape::C;
  if (channel >= Shape::M) {
    const int i = channel - Shape::M;
    if constexpr (Shape::kPerView) return sums[2 + i] * V(1 / weight);
    if constexpr (Shape::S == Spatial::iv) {  // X, Y, Z from rows and columns in the order W, Y, Z, X
      const double* row = matrix + (i == 0 ? 3 : i) * C;
      return (V(row[1]) * sums[10] + V(row[2]) * sums[11] + V(row[3]) * sums[12]) * V(1 / weight);
    }
  }
  if constexpr (Shape::kPerView) return sums[channel];
  const double* row = matrix + channel * C;
  V power(0);
  int product = 0;
  for (int a = 0; a < C; ++a)
    for (int b = a; b < C; ++b) power = power + V((a == b ? 1 : 2) * row[a] * row[b]) * sums[product++];
  return power;
}

template <class T>
AVSA_HD T log_power(double power) {
  return log_normal(T(power < 1e-10 ? 1e-10 : power));
}

}  // namespace avsa::features
