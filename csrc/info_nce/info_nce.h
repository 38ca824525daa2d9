// InfoNCE: the contrastive loss over paired rows, their cosines never held as a matrix.
//
// Row i's loss is softplus(z), z = log sum_{j != i} exp(s (c_ij - c_ii)) over its competitors j, with cosines c and
// scale s. The pair is kept apart, so a loss of 1e-30 keeps its digits. Backward: p_ij = exp(s (c_ij - c_ii) - loss_i),
// and the pair's own weight is -(1 - p_ii) = expm1(-loss_i).
//
// A block is some query rows against some key rows: all of both in one process, a rank's queries against the keys of
// one rank or of all ranks where rows span many. What scan and gather find of a block adds to what earlier blocks left.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace avsa::info_nce {

// Of the products: numbers as avsa_fast/ops/info_nce.py gives them.
enum class Precision : int { fp32 = 0, tf32 = 1, tf32x3 = 2, bf16 = 3 };

// A side of a block.
struct Rows {
  const void* data;          // [count, D]
  const double* statistics;  // [count, 3], as prepare and the losses make them
  std::int64_t count;
  std::int64_t first;  // the first row's number among all rows
};

// Columns of statistics: 1 / L2 norm (0 for a row of zeros), the pair's cosine, and the loss of choosing the partner
// (0 for keys that choose nothing).
enum Statistic : int { kInverse, kCosine, kLoss, kStatistics };

struct InfoNceBlock {
  Dtype dtype;  // float32 or float64, of all rows
  Precision precision;
  Rows query, key;
  std::int64_t D, K;    // row r is crop r mod K of clip r div K; K = 1: every row competes
  const double* scale;  // [] 1 / temperature
  bool symmetric;       // keys choose among queries too
  void* workspace;      // what kernels of a device want for themselves
};

struct InfoNceWorkspace {
  InfoNceBlock block;
  std::int64_t* bytes;  // [] out: of the block's workspace; memory of the host
};

struct InfoNcePrepare {
  Dtype dtype;
  const void* query;   // [N, D]
  const void* key;     // [N, D]
  double* statistics;  // [2, N, 3] out, but for the losses
  std::int64_t N, D;
};

// For each row of a side, (top, sum): sum of exp(s c - top) over its competitors. Top is s throughout where the same
// exponential serves both sides, the largest s c so far where that could underflow: see shares_exponential.
struct InfoNceScan {
  InfoNceBlock block;
  double* query_sums;  // [queries, 2] in, out
  double* key_sums;    // [keys, 2] in, out; for symmetric
};

// Sums over a row's competitors of p times their unit rows: the gradient of (sum of losses) / s by the unit rows, but
// for the pairs' own terms.
struct InfoNceGather {
  InfoNceBlock block;
  void* query_grad;  // [queries, D] in, out
  void* key_grad;    // [keys, D] in, out
};

// The gradient of one side's rows from the sums over their competitors, in place, the pairs' own terms added.
struct InfoNceProject {
  Dtype dtype;
  Rows own, partner;  // N rows each
  std::int64_t D;
  const double* factor;  // [] of the gradient
  void* grad;            // [N, D] in, out
  double* slopes;        // [N] out: <unit row, its gradient before factor>
};

void info_nce_prepare_cpu(const InfoNcePrepare& task);
void info_nce_workspace_cpu(const InfoNceWorkspace& task);
void info_nce_scan_cpu(const InfoNceScan& task);
void info_nce_gather_cpu(const InfoNceGather& task);
void info_nce_project_cpu(const InfoNceProject& task);
int info_nce_prepare_cuda(const InfoNcePrepare& task, void* stream);  // returns a cudaError_t, as the next
int info_nce_workspace_cuda(const InfoNceWorkspace& task, void* stream);
int info_nce_scan_cuda(const InfoNceScan& task, void* stream);
int info_nce_gather_cuda(const InfoNceGather& task, void* stream);
int info_nce_project_cuda(const InfoNceProject& task, void* stream);

}  // namespace avsa::info_nce
