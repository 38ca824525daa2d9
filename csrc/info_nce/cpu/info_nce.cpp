#include <memory>
#include <new>

#include "core/clones.h"
#include "info_nce/cpu/tiles.h"

namespace avsa::info_nce {
namespace {

template <class A>
void run_tile(const InfoNceScan&, const Tile&, const Scratch<A>&);
template <class A>
void run_tile(const InfoNceGather&, const Tile&, const Scratch<A>&);

// A function for each instruction set: how tiles lie depends on the registers.
#define AVSA_TILES(A, options)                                                            \
  template <>                                                                             \
  AVSA_TARGET(options)                                                                    \
  void run_tile(const InfoNceScan& task, const Tile& tile, const Scratch<A>& scratch) {   \
    scan_tile(task, tile, scratch);                                                       \
  }                                                                                       \
  template <>                                                                             \
  AVSA_TARGET(options)                                                                    \
  void run_tile(const InfoNceGather& task, const Tile& tile, const Scratch<A>& scratch) { \
    gather_tile(task, tile, scratch);                                                     \
  }

// 16 registers of 16 bytes, of 32 bytes; 32 of 64 bytes.
template <class T>
using Small = Plain<T, 16, 4>;
template <class T>
using Middle = Plain<T, 32, 4>;
template <class T>
using Large = Plain<T, 64, 8>;
using SmallRounded = Rounded<16, 4>;
using MiddleRounded = Rounded<32, 4>;
using LargeRounded = Rounded<64, 8>;

AVSA_TILES(Small<float>, "arch=x86-64")
AVSA_TILES(Small<double>, "arch=x86-64")
AVSA_TILES(SmallRounded, "arch=x86-64")
#ifdef AVSA_HAS_CLONES
AVSA_TILES(Middle<float>, "arch=x86-64-v3")
AVSA_TILES(Middle<double>, "arch=x86-64-v3")
AVSA_TILES(MiddleRounded, "arch=x86-64-v3")
AVSA_TILES(Large<float>, "arch=x86-64-v4,prefer-vector-width=512")
AVSA_TILES(Large<double>, "arch=x86-64-v4,prefer-vector-width=512")
AVSA_TILES(LargeRounded, "arch=x86-64-v4,prefer-vector-width=512")
AVSA_TILES(Dots, "arch=x86-64-v4,avx512bf16,prefer-vector-width=512")
#endif

// Tiles of a block in an order that gives the same sums for any number of threads. In a round no two tiles share rows
// of either side, and each row meets its partners round by round.
template <class A, class Task>
void for_tiles(const Task& task) {
  const InfoNceBlock& block = task.block;
  const std::int64_t size = std::clamp<std::int64_t>(32768 / std::max<std::int64_t>(block.D, 1) / 32 * 32, 64, kTile);
  const std::int64_t queries = ceil_div(block.query.count, size), keys = ceil_div(block.key.count, size);
  const std::int64_t rounds = std::max(queries, keys), tiles = std::min(queries, keys);
  const auto bytes = std::size_t(Scratch<A>::bytes(size, block.D));
  constexpr std::align_val_t kAlignment{64};
#pragma omp parallel if (rounds > 1)
  {
    const auto release = [](void* p) { operator delete(p, kAlignment); };
    const std::unique_ptr<void, decltype(release)> memory(operator new(bytes, kAlignment), release);
    const Scratch<A> scratch(static_cast<std::byte*>(memory.get()), size, block.D);
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma omp for schedule(dynamic)
      for (std::int64_t n = 0; n < tiles; ++n) {
        const std::int64_t other = (n + round) % rounds;
        const std::int64_t query = (queries <= keys ? n : other) * size, key = (queries <= keys ? other : n) * size;
        run_tile<A>(
            task,
            {query, key, int(std::min(size, block.query.count - query)), int(std::min(size, block.key.count - key))},
            scratch);
      }
    }
  }
}

template <class Task>
void for_set(const Task& task) {
  const bool bf16 = task.block.precision == Precision::bf16;
#ifdef AVSA_HAS_CLONES
  const bool v4 = isa() >= Isa::avx512, v3 = isa() == Isa::avx2, dots = isa() == Isa::avx512_bf16;
  if (task.block.dtype == Dtype::float64)
    return v4 ? for_tiles<Large<double>>(task) : v3 ? for_tiles<Middle<double>>(task) : for_tiles<Small<double>>(task);
  if (bf16)
    return dots ? for_tiles<Dots>(task)
           : v4 ? for_tiles<LargeRounded>(task)
           : v3 ? for_tiles<MiddleRounded>(task)
                : for_tiles<SmallRounded>(task);
  return v4 ? for_tiles<Large<float>>(task) : v3 ? for_tiles<Middle<float>>(task) : for_tiles<Small<float>>(task);
#else
  if (task.block.dtype == Dtype::float64) return for_tiles<Small<double>>(task);
  return bf16 ? for_tiles<SmallRounded>(task) : for_tiles<Small<float>>(task);
#endif
}

// <a, b> in double: of a row's dimensions some are summed side by side.
template <class T>
AVSA_HD double dot(const T* a, const T* b, std::int64_t D) {
  constexpr int kParts = 16;
  double parts[kParts] = {}, sum = 0;
  std::int64_t d = 0;
  for (; d + kParts <= D; d += kParts)
    for (int p = 0; p < kParts; ++p) parts[p] += double(a[d + p]) * double(b[d + p]);
  for (; d < D; ++d) sum += double(a[d]) * double(b[d]);
  for (int p = 0; p < kParts; ++p) sum += parts[p];
  return sum;
}

AVSA_HD double inverse_root(double square) { return square == 0 ? 0 : 1 / std::sqrt(square); }

template <class T>
AVSA_HD void prepare_any(const InfoNcePrepare& task, std::int64_t i) {
  const std::int64_t D = task.D;
  const T *query = static_cast<const T*>(task.query) + i * D, *key = static_cast<const T*>(task.key) + i * D;
  double *of_query = task.statistics + i * kStatistics, *of_key = of_query + task.N * kStatistics;
  of_query[kInverse] = inverse_root(dot(query, query, D));
  of_key[kInverse] = inverse_root(dot(key, key, D));
  of_query[kCosine] = of_key[kCosine] = dot(query, key, D) * of_query[kInverse] * of_key[kInverse];
}

template <class T>
AVSA_HD void project_any(const InfoNceProject& task, std::int64_t i) {
  const std::int64_t D = task.D;
  const T* row = static_cast<const T*>(task.own.data) + i * D;
  const T* partner = static_cast<const T*>(task.partner.data) + i * D;
  const double *own = task.own.statistics + i * kStatistics, *theirs = task.partner.statistics + i * kStatistics;
  T* grad = static_cast<T*>(task.grad) + i * D;
  const double pair = (std::expm1(-own[kLoss]) + std::expm1(-theirs[kLoss])) * theirs[kInverse];
  const double slope = (dot(row, grad, D) + pair * dot(row, partner, D)) * own[kInverse];
  const double factor = *task.factor * own[kInverse], along = slope * own[kInverse];
  for (std::int64_t d = 0; d < D; ++d) grad[d] = T(factor * (grad[d] + pair * partner[d] - along * row[d]));
  task.slopes[i] = slope;
}

void prepare(const InfoNcePrepare& task, std::int64_t i) {
  for_isa([&]() AVSA_INLINED {
    task.dtype == Dtype::float64 ? prepare_any<double>(task, i) : prepare_any<float>(task, i);
  });
}
void project(const InfoNceProject& task, std::int64_t i) {
  for_isa([&]() AVSA_INLINED {
    task.dtype == Dtype::float64 ? project_any<double>(task, i) : project_any<float>(task, i);
  });
}

}  // namespace

void info_nce_prepare_cpu(const InfoNcePrepare& task) {
#pragma omp parallel for schedule(static) if (task.N > kTile)
  for (std::int64_t i = 0; i < task.N; ++i) prepare(task, i);
}

void info_nce_workspace_cpu(const InfoNceWorkspace& task) { *task.bytes = 0; }

void info_nce_scan_cpu(const InfoNceScan& task) { for_set(task); }

void info_nce_gather_cpu(const InfoNceGather& task) { for_set(task); }

void info_nce_project_cpu(const InfoNceProject& task) {
#pragma omp parallel for schedule(static) if (task.own.count > kTile)
  for (std::int64_t i = 0; i < task.own.count; ++i) project(task, i);
}

}  // namespace avsa::info_nce
