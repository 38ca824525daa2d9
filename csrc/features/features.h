// Log-mel and spatial features of views of a scene, from its spectrum: a view is a mix of the scene's channels.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa {

// The numbers of avsa_fast/ops/spatial_features.py.
enum class Spatial : int { none = 0, iv = 1, icf = 2 };

// The intensity vector's variants: gain J / (1e-12 + w |W|^2 + xyz (|X|^2 + |Y|^2 + |Z|^2) + norm |J|).
struct Intensity {
  double gain, w, xyz, norm;
};

struct SpatialFeatures {
  Dtype dtype;                // of bank and out: float32 or float64
  const double* spectrum;     // [B, C, F, J, 2]: F frames, J bins, real and imaginary
  const double* matrix;       // [B, K, M, C]: M channels of each of K views
  const void* bank;           // [J, N]: mel weights, a bin's in at most two neighbouring bands
  const std::int64_t* first;  // [N + 2]: the first bin whose highest band is n or above; J for n >= N
  Spatial spatial;            // iv wants M = 4, icf M = 2
  Intensity intensity;        // for iv
  void* out;                  // [B, K, M (+ 3), N, F]
  std::int64_t B, C, K, M, F, J, N;
};

void spatial_features_cpu(const SpatialFeatures& task);
int spatial_features_cuda(const SpatialFeatures& task, void* stream);  // returns a cudaError_t

}  // namespace avsa
