// Directions and rotations of 3-vectors, for host and device. Angles in radians, axes +x front, +y left, +z up.
#pragma once
#include <cmath>

#ifdef __CUDACC__
#define AVSA_HD __host__ __device__ __forceinline__
#define AVSA_UNROLL _Pragma("unroll")
#define AVSA_KEEP_LOOP _Pragma("unroll 1")         // of a loop that would take registers if it were unrolled
#define AVSA_REREAD asm volatile("" ::: "memory")  // registers need not hold what was read from shared memory
#else
#define AVSA_HD inline __attribute__((always_inline))
#define AVSA_UNROLL
#define AVSA_KEEP_LOOP
#define AVSA_REREAD
#endif

namespace avsa {

constexpr double kPi = 3.14159265358979323846;
// Elevations of up to the bfloat16 number above pi/2 are valid, because pi/2 may have been rounded or computed.
constexpr double kMaxElevation = 1.578125;

template <class T>
struct Vec3 {
  T x, y, z;
};

template <class T>
struct Mat3 {  // rows
  Vec3<T> x, y, z;
};

template <class T>
AVSA_HD T dot(const Vec3<T>& a, const Vec3<T>& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <class T>
AVSA_HD Vec3<T> operator*(const Mat3<T>& m, const Vec3<T>& v) {
  return {dot(m.x, v), dot(m.y, v), dot(m.z, v)};
}

template <class T>
AVSA_HD Mat3<T> transpose(const Mat3<T>& m) {
  return {{m.x.x, m.y.x, m.z.x}, {m.x.y, m.y.y, m.z.y}, {m.x.z, m.y.z, m.z.z}};
}

// Sine and cosine. On the device through sinpi and cospi: sin and cos reduce large angles in local memory.
template <class T>
AVSA_HD T sine(const T& angle) {
  using std::sin;
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == sizeof(double)) return sinpi(angle * (1 / kPi));
#endif
  return sin(angle);
}

template <class T>
AVSA_HD T cosine(const T& angle) {
  using std::cos;
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == sizeof(double)) return cospi(angle * (1 / kPi));
#endif
  return cos(angle);
}

// Unit vector of a direction.
template <class T>
AVSA_HD Vec3<T> unit_vector(T azimuth, T elevation) {
  return {cosine(elevation) * cosine(azimuth), cosine(elevation) * sine(azimuth), sine(elevation)};
}

// Rz(azimuth) Ry(-elevation) Rx(roll): rotates the front to the direction; its transpose rotates the direction to the
// front.
template <class T>
AVSA_HD Mat3<T> rotation_from_front(T azimuth, T elevation, T roll) {
  const T ca = cosine(azimuth), sa = sine(azimuth), ce = cosine(elevation), se = sine(elevation), cr = cosine(roll),
          sr = sine(roll);
  return {{ca * ce, -sa * cr - ca * se * sr, sa * sr - ca * se * cr},
          {sa * ce, ca * cr - sa * se * sr, -ca * sr - sa * se * cr},
          {se, ce * sr, ce * cr}};
}

}  // namespace avsa
