// InfoNCE: the contrastive loss over paired rows, their cosines never held as a matrix.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa {

struct InfoNceForward {
  Dtype dtype;                // float32 or float64, of query, key, units and loss
  const void* query;          // [N, D]
  const void* key;            // [N, D]
  const double* temperature;  // []
  void* units;                // [2, panels, depth, 16] out: normalised query and key, as panels.h lays them out
  double* statistics;         // [2, 3, N] out: of query and key rows, as panels.h names them
  void* loss;                 // [] out
  std::int64_t N, D, K;       // row r is crop r mod K of clip r div K; K = 1: every row is a candidate
  bool symmetric;
};

struct InfoNceBackward {
  Dtype dtype;                // of grad, units, sums and the gradients of query and key
  const void* grad;           // [] of the loss
  const double* temperature;  // []
  const void* units;          // [2, panels, depth, 16] and
  const double* statistics;   // [2, 3, N] from the forward pass
  void* sums;                 // [panels, depth, 16] workspace
  double* slopes;             // [N] workspace
  void* query_grad;           // [N, D] out
  void* key_grad;             // [N, D] out
  double* temperature_grad;   // [] out
  std::int64_t N, D, K;
  bool symmetric;
};

void info_nce_forward_cpu(const InfoNceForward& task);
void info_nce_backward_cpu(const InfoNceBackward& task);
int info_nce_forward_cuda(const InfoNceForward& task, void* stream);  // returns a cudaError_t, as the next
int info_nce_backward_cuda(const InfoNceBackward& task, void* stream);

}  // namespace avsa
