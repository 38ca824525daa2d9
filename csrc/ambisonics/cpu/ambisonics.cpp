// Host kernels of harmonics and rotation matrices, and the entry to mix.simd.cpp. Called by the Python bindings.
#include <algorithm>
#include <cmath>

#include "ambisonics/mixing.h"
#include "core/dispatch.h"
#include "core/huge_pages.h"

namespace avsa::ambisonics {

AVSA_DECLARE_SIMD(int, mix, const Mix& task, bool streaming)

namespace {

constexpr std::int64_t kMaxSerial = 64;  // directions for which more threads do not pay

template <class T>
bool is_valid(const T* direction) {                                                // [2]
  return std::isfinite(direction[0]) && std::fabs(direction[1]) <= kMaxElevation;  // false for NaN
}

template <class T>
int harmonics(const Harmonics& task) {
  const T* directions = static_cast<const T*>(task.directions);
  T* out = static_cast<T*>(task.out);
  const int C = (task.order + 1) * (task.order + 1);
  int invalid = 0;
#pragma omp parallel for schedule(static) reduction(| : invalid) if (task.N > kMaxSerial)
  for (std::int64_t i = 0; i < task.N; ++i) {
    invalid |= !is_valid(directions + 2 * i);
    spherical_harmonics(unit_vector(double(directions[2 * i]), double(directions[2 * i + 1])), task.order, out + i * C);
  }
  return invalid;
}

template <class T>
int rotation_matrices(const RotationMatrices& task) {
  const T* directions = static_cast<const T*>(task.directions);
  const T* roll = static_cast<const T*>(task.roll);
  const int C = (task.order + 1) * (task.order + 1);
  int invalid = 0;
#pragma omp parallel for schedule(static) reduction(| : invalid) if (task.N > kMaxSerial)
  for (std::int64_t i = 0; i < task.N; ++i) {
    if (!is_valid(directions + 2 * i)) invalid |= 1;
    if (roll && !std::isfinite(roll[i])) invalid |= 2;
    RotationMatrix first, current, lower;
    const double azimuth = directions[2 * i], elevation = directions[2 * i + 1];
    first_order_rotation(transpose(rotation_from_front(azimuth, elevation, roll ? double(roll[i]) : 0.0)), first);
    T* out = static_cast<T*>(task.out) + i * C * C;
    std::fill_n(out, C * C, T(0));
    out[0] = 1;
    for (int n = 1; n <= task.order; ++n) {
      for (int m = -n; m <= n; ++m)
        for (int k = -n; k <= n; ++k) {
          const double element = n == 1 ? first.at[m + 1][k + 1] : rotation_element(n, m, k, first, lower);
          current.at[m + n][k + n] = element;
          const double mirror = task.flip && task.flip[i] && m < 0 ? -1 : 1;  // harmonics of m < 0 are odd in y
          out[(n * (n + 1) + m) * C + n * (n + 1) + k] = T(mirror * element);
        }
      lower = current;
    }
  }
  return invalid;
}

}  // namespace

int harmonics_cpu(const Harmonics& task) {
  return task.dtype == Dtype::float64 ? harmonics<double>(task) : harmonics<float>(task);
}

int rotation_matrices_cpu(const RotationMatrices& task) {
  return task.dtype == Dtype::float64 ? rotation_matrices<double>(task) : rotation_matrices<float>(task);
}

int mix_cpu(const Mix& task) {
  constexpr std::int64_t kMinStreamed = std::int64_t(4) << 20;  // bytes, as in the C library's copies
  const std::int64_t sample_bytes = with_sample_type(task.dtype, [](auto sample) { return sizeof sample; });
  const std::int64_t row_bytes = task.T * sample_bytes, bytes = task.B * task.R * row_bytes;
  const bool aligned = row_bytes % 16 == 0 && reinterpret_cast<std::uintptr_t>(task.out) % 16 == 0;
  const bool streaming = aligned && bytes >= kMinStreamed;
  if (streaming) ask_for_huge_pages(task.out, bytes);
  return AVSA_DISPATCH(mix)(task, streaming);
}

}  // namespace avsa::ambisonics
