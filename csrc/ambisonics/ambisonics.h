// Ambisonics (ACN, SN3D) of orders 0 to 7: harmonics of directions, turns to the front, and mixing channels by either.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa::ambisonics {

struct Harmonics {
  Dtype dtype;             // float32 or float64, as every array here
  const void* directions;  // [N, 2]
  void* out;               // [N, C], C = (order + 1)^2
  std::int64_t N;
  int order;
};

struct Turns {
  Dtype dtype;
  const void* directions;  // [N, 2]: each comes to the front
  const void* roll;        // [N], or null: 0
  const bool* flip;        // [N], or null: false
  void* out;               // [N, C, C]
  std::int64_t N;
  int order;
};

// out = matrix @ signals. Where by_order, rows and columns are channels (of K views: R = K C), and a row mixes only the
// channels of its own order; elements of matrix outside are not read.
struct Mix {
  Dtype dtype;          // of signals and out: any float
  const void* signals;  // [B, C, T]
  const void* matrix;   // [B, R, C]: float64 where signals are, else float32
  void* out;            // [B, R, T]
  std::int64_t B, C, R, T;
  bool by_order;
};

int harmonics_cpu(const Harmonics& task);                 // returns 1 where a direction is not finite, else 0
int turns_cpu(const Turns& task);                         // so, and 2 more where a roll is not
int mix_cpu(const Mix& task);                             // returns 1 where a sample is not finite, else 0
int harmonics_cuda(const Harmonics& task, void* stream);  // returns a cudaError_t, as all of these
int turns_cuda(const Turns& task, void* stream);
int mix_cuda(const Mix& task, void* stream);

}  // namespace avsa::ambisonics
