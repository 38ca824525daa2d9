// The host kernels, compiled once per instruction set; info_nce.cpp chooses among them.
#include "info_nce/cpu/tiles.h"

namespace avsa::info_nce::AVSA_ISA {
namespace {

[[maybe_unused]] constexpr int kMinParallelRows = 256;  // unused without OpenMP

// <a / scale_a, b / scale_b> of rows [D] in double, with inverse scales; 16 partial sums fill vector registers.
template <class A, class B>
double dot(const A* a, double inverse_a, const B* b, double inverse_b, std::int64_t D) {
  constexpr int kParts = 16;
  double parts[kParts] = {}, sum = 0;
  std::int64_t d = 0;
  for (; d + kParts <= D; d += kParts)
    for (int p = 0; p < kParts; ++p) parts[p] += double(a[d + p]) * inverse_a * (double(b[d + p]) * inverse_b);
  for (; d < D; ++d) sum += double(a[d]) * inverse_a * (double(b[d]) * inverse_b);
  for (int p = 0; p < kParts; ++p) sum += parts[p];
  return sum;
}

// 1 / L2 norm of a row [D], 0 for a row of zeros.
template <class T>
double inverse_norm(const T* row, std::int64_t D) {
  const double square = dot(row, 1, row, 1, D);
  if (is_exact_square(square)) return 1 / std::sqrt(square);
  if (std::isnan(square)) return square;
  double peak = 0;
  for (std::int64_t d = 0; d < D; ++d) peak = std::max(peak, std::fabs(double(row[d])));
  if (peak < kMinPeak) return 0;
  double scaled = 0;
  for (std::int64_t d = 0; d < D; ++d) scaled += (row[d] / peak) * (row[d] / peak);
  return 1 / std::sqrt(scaled) / peak;
}

template <class T>
void prepare_rows(const InfoNcePrepare& task) {
  const std::int64_t D = task.D;
#pragma omp parallel for schedule(static) if (task.N > kMinParallelRows)
  for (std::int64_t i = 0; i < task.N; ++i) {
    const T *query = static_cast<const T*>(task.query) + i * D, *key = static_cast<const T*>(task.key) + i * D;
    double *of_query = task.statistics + i * kStatistics, *of_key = of_query + task.N * kStatistics;
    of_query[kInverseNorm] = inverse_norm(query, D);
    of_key[kInverseNorm] = inverse_norm(key, D);
    of_query[kPairCosine] = of_key[kPairCosine] = dot(query, of_query[kInverseNorm], key, of_key[kInverseNorm], D);
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
    const double pair = std::expm1(-own[kLoss]) + std::expm1(-theirs[kLoss]);
    const double inverse = own[kInverseNorm], factor = *task.factor * inverse;
    const double radial = dot(row, inverse, grad, 1, D) + pair * own[kPairCosine];
    for (std::int64_t d = 0; d < D; ++d)
      grad[d] = T(factor * (grad[d] + pair * (partner[d] * theirs[kInverseNorm]) - radial * (row[d] * inverse)));
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
