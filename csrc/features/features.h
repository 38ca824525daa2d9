// Log-mel and spatial features of views of a scene, where a view is a mix of the scene's channels: the task that the
// Python bindings fill in, and the host and device functions that run it.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa::features {

// The numbers of avsa_fast.ops.spatial_features.
enum class Spatial : int { none = 0, iv = 1, icf = 2 };

// The intensity vector's normalisation: gain J / (1e-12 + w |W|^2 + xyz (|X|^2 + |Y|^2 + |Z|^2) + norm |J|).
struct Intensity {
  double gain, w, xyz, norm;
};

struct SpatialFeatures {
  Dtype dtype;                // of signals and out: float32 or float64
  const void* signals;        // [B, C, T]; C = 1, 2 or 4
  const double* matrix;       // [B, K, M, C]: M channels of each of K views; for iv [1, 0; 0, orthogonal]
  const double* window;       // [n_fft]
  const double* roots;        // [n_fft, 2]: real and imaginary parts of exp(-2 pi i j / n_fft)
  const double* bank;         // [J, N]: mel weights; a bin is in at most two bands, which are neighbours
  const std::int64_t* first;  // [N + 2]: the first bin whose highest band is n or above; J for n >= N
  Spatial spatial;            // iv needs C = M = 4, icf M = 2
  Intensity intensity;        // for iv
  void* out;                  // [B, K, M (+ 3), N, F], F = 1 + (T - n_fft) / hop
  std::int64_t B, C, K, M, T, N;
  std::int64_t n_fft, hop;       // J = n_fft / 2 + 1
  void* workspace;               // the host kernel's buffers, aligned to 64 bytes
  std::int64_t workspace_bytes;  // spatial_features_workspace_size(task); fewer limit the number of threads
};

std::int64_t spatial_features_workspace_size(
    const SpatialFeatures& task);  // bytes for the host kernel; the device's: 0

int spatial_features_cpu(const SpatialFeatures& task);                 // returns 1 if a sample is not finite, else 0
int spatial_features_cuda(const SpatialFeatures& task, void* stream);  // returns a cudaError_t

}  // namespace avsa::features
