// The host kernels, compiled once per instruction set; info_nce.cpp chooses among them.
#include "info_nce/cpu/tiles.h"

namespace avsa::info_nce::AVSA_ISA {
namespace {

[[maybe_unused]] constexpr int kMinParallelRows = 256;  // unused without OpenMP

// <a, b> of rows [D] in double; 16 partial sums fill vector registers.
template <class T>
double dot(const T* a, const T* b, std::int64_t D) {
  constexpr int kParts = 16;
  double parts[kParts] = {}, sum = 0;
  std::int64_t d = 0;
  for (; d + kParts <= D; d += kParts)
    for (int p = 0; p < kParts; ++p) parts[p] += double(a[d + p]) * double(b[d + p]);
  for (; d < D; ++d) sum += double(a[d]) * double(b[d]);
  for (int p = 0; p < kParts; ++p) sum += parts[p];
  return sum;
}

double inverse_root(double square) { return square == 0 ? 0 : 1 / std::sqrt(square); }

template <class T>
void prepare_rows(const InfoNcePrepare& task) {
  const std::int64_t D = task.D;
#pragma omp parallel for schedule(static) if (task.N > kMinParallelRows)
  for (std::int64_t i = 0; i < task.N; ++i) {
    const T *query = static_cast<const T*>(task.query) + i * D, *key = static_cast<const T*>(task.key) + i * D;
    double *of_query = task.statistics + i * kStatistics, *of_key = of_query + task.N * kStatistics;
    of_query[kInverseNorm] = inverse_root(dot(query, query, D));
    of_key[kInverseNorm] = inverse_root(dot(key, key, D));
    of_query[kPairCosine] = of_key[kPairCosine] = dot(query, key, D) * of_query[kInverseNorm] * of_key[kInverseNorm];
  }
}

template <class T>
void project_rows(const InfoNceProject& task) {
  const std::int64_t D = task.D;
#pragma omp parallel for schedule(static) if (task.own.count > kMinParallelRows)
  for (std::int64_t i = 0; i < task.own.count; ++i) {
    const T* row = static_cast<const T*>(task.own.data) + i * D;
    const T* partner = static_cast<const T*>(task.partner.data) + i * D;
    const double *own = task.own.statistics + i * kStatistics, *theirs = task.partner.statistics + i * kStatistics;
    T* grad = static_cast<T*>(task.grad) + i * D;
    const double pair = (std::expm1(-own[kLoss]) + std::expm1(-theirs[kLoss])) * theirs[kInverseNorm];
    const double radial = (dot(row, grad, D) + pair * dot(row, partner, D)) * own[kInverseNorm];
    const double factor = *task.factor * own[kInverseNorm], along = radial * own[kInverseNorm];
    for (std::int64_t d = 0; d < D; ++d) grad[d] = T(factor * (grad[d] + pair * partner[d] - along * row[d]));
    task.radial[i] = radial;
  }
}

}  // namespace

void prepare(const InfoNcePrepare& task) {
  task.dtype == Dtype::float64 ? prepare_rows<double>(task) : prepare_rows<float>(task);
}

void project(const InfoNceProject& task) {
  task.dtype == Dtype::float64 ? project_rows<double>(task) : project_rows<float>(task);
}

std::int64_t workspace_bytes(const InfoNceBlock& block) {
  if (block.dtype == Dtype::float64) return Tiles<Plain<double>>(block).workspace_bytes();
  return Tiles<Plain<float>>(block).workspace_bytes();  // of RoundedBf16 too
}

void scan(const InfoNceScan& task) {
  if (task.block.dtype == Dtype::float64) return scan_tiles<Plain<double>>(task);
  task.block.precision == Precision::bf16 ? scan_tiles<RoundedBf16>(task) : scan_tiles<Plain<float>>(task);
}

void gradient(const InfoNceGradient& task) {
  if (task.block.dtype == Dtype::float64) return gradient_tiles<Plain<double>>(task);
  task.block.precision == Precision::bf16 ? gradient_tiles<RoundedBf16>(task) : gradient_tiles<Plain<float>>(task);
}

}  // namespace avsa::info_nce::AVSA_ISA
