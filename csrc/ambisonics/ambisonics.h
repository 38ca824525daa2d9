// Ambisonic scenes (ACN channel order, SN3D normalisation) of orders 0 to 7: the tasks that the Python bindings fill
// in, and the host and device functions that run them.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa::ambisonics {

// Spherical harmonics of N directions. C = (order + 1)^2.
struct Harmonics {
  Dtype dtype;             // of all arrays: float32 or float64
  const void* directions;  // [N, 2]: azimuth, elevation
  void* out;               // [N, C]
  std::int64_t N;
  int order;
};

// Matrices that rotate a scene so that each of N directions comes to the front, then mirror it left to right if flip.
struct RotationMatrices {
  Dtype dtype;             // of all arrays but flip: float32 or float64
  const void* directions;  // [N, 2]
  const void* roll;        // [N]; null for 0
  const bool* flip;        // [N]; null for false
  void* out;               // [N, C, C]
  std::int64_t N;
  int order;
};

// out = matrix @ signals. With by_order, rows and columns are ambisonic channels (of K views: R = K C), each row mixes
// only the channels of its own order, and other elements of the matrix are not read.
struct Mix {
  Dtype dtype;          // of signals and out: any float
  const void* signals;  // [B, C, T]
  const void* matrix;   // [B, R, C]: float64 for float64 signals, else float32
  void* out;            // [B, R, T]
  std::int64_t B, C, R, T;
  bool by_order;
};

// Host kernels return bits for invalid input: 1 if a direction is not finite or its elevation beyond kMaxElevation, or
// a sample is not finite; 2 if a roll is not finite. Device kernels write NaN for such directions.
int harmonics_cpu(const Harmonics& task);
int rotation_matrices_cpu(const RotationMatrices& task);
int mix_cpu(const Mix& task);

// Device kernels return a cudaError_t.
int harmonics_cuda(const Harmonics& task, void* stream);
int rotation_matrices_cuda(const RotationMatrices& task, void* stream);
int mix_cuda(const Mix& task, void* stream);

}  // namespace avsa::ambisonics
