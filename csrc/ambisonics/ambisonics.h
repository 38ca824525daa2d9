// First-order ambisonics (ACN, SN3D: W, Y, Z, X): encoding, rotation to the front, beams.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa {

struct Encode {
  Dtype dtype;             // float32 or float64, as every array here
  const void* signal;      // [B, S, T]
  const void* directions;  // [B, S, 2]
  void* out;               // [B, 4, T]
  std::int64_t B, S, T;
};

struct Rotate {
  Dtype dtype;
  const void* signals;     // [B, 4, T]
  const void* directions;  // [B, K, 2]
  const void* roll;        // [B, K], or null: 0
  const bool* flip;        // [B, K], or null: false
  void* out;               // [B, K, 4, T]
  std::int64_t B, K, T;
};

struct Beamform {
  Dtype dtype;
  const void* signals;     // [B, 4, T]
  const void* directions;  // [B, K, 2]
  double gain_0, gain_1;   // of orders 0 and 1
  void* out;               // [B, K, T]
  std::int64_t B, K, T;
};

void encode_cpu(const Encode& task);
void rotate_cpu(const Rotate& task);
void beamform_cpu(const Beamform& task);
int encode_cuda(const Encode& task, void* stream);  // returns a cudaError_t, as all of these
int rotate_cuda(const Rotate& task, void* stream);
int beamform_cuda(const Beamform& task, void* stream);

}  // namespace avsa
