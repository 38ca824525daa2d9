// What the kernels on wgmma share: how a block of threads divides its work and its shared memory, the producer's part,
// and a warpgroup's products with a tile.
#pragma once
#include "info_nce/fragments.h"
#include "info_nce/wgmma.h"

namespace avsa {

constexpr int kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup, kConsumerWarps = kConsumers * 4;
constexpr int kOwn = 64 * kConsumers, kOther = 128;  // rows of a block of threads, rows of a tile
constexpr int kGradient = 128;                       // dimensions of the gradient that a block of threads gathers
constexpr int kDepth = 16;                           // of a product
constexpr int kMostPanels = 4;                       // of a row: memory holds own rows and two tiles
static_assert(kOther == kPackedRows && kOwn == kPackedRows);

// kPanels: of a row.
template <int kPanels>
struct WarpgroupShared {
  static constexpr int kStages = kPanels == 2 ? 4 : 2, kBytes = kPackedRows * kPanels * kPanel;

  struct Head {
    PhaseBarrier own_full, own_empty, full[kStages], empty[kStages];
    RowWeight weights[kStages][kOther];
    float columns[2][kConsumerWarps][kOther];
  };
  unsigned char *own, *tiles;
  Head* head;

  __device__ WarpgroupShared()
      : own(aligned_shared()), tiles(own + kBytes), head(reinterpret_cast<Head*>(tiles + kStages * kBytes)) {}
  __device__ SharedPlace tile(unsigned n) const { return shared_place(tiles + n % kStages * kBytes); }
  static std::size_t bytes() { return 1024 + std::size_t(1 + kStages) * kBytes + sizeof(Head); }

  __device__ void begin() const {
    if (threadIdx.x == 0) {
      head->own_full.init(1);
      head->own_empty.init(kConsumerWarps);
      for (int n = 0; n < kStages; ++n) {
        head->full[n].init(1);
        head->empty[n].init(kConsumerWarps);
      }
      publish_barriers();
    }
    __syncthreads();
  }

  // The producer's part, of one thread: tiles in their order for each of the block's own rows.
  __device__ void produce(const PackedPass& pass, std::int64_t begin, std::int64_t step, bool weights) const {
    const auto tiles_of_pass = unsigned(ceil_div(pass.other.count, kOther));
    unsigned fetched = 0;
    int turn = 0;
    for (std::int64_t block = begin; block < pass.own.count; block += step, ++turn) {
      if (turn > 0) head->own_empty.wait((turn - 1) % 2);
      head->own_full.arrive_and_expect(kBytes);
      head->own_full.copy(own, PackedPass::rows(pass.own_words, block, kPanels), kBytes);
      for (unsigned tile = 0; tile < tiles_of_pass; ++tile, ++fetched) {
        const int stage = int(fetched % kStages), round = int(fetched / kStages % 2);
        if (fetched >= kStages) head->empty[stage].wait(1 - round);
        PhaseBarrier& full = head->full[stage];
        full.arrive_and_expect(kBytes + (weights ? int(sizeof head->weights[0]) : 0));
        full.copy(tiles + stage * kBytes, PackedPass::rows(pass.other_words, std::int64_t(tile) * kOther, kPanels),
                  kBytes);
        if (weights)
          full.copy(head->weights[stage], pass.other_weights + std::int64_t(tile) * kOther,
                    int(sizeof head->weights[0]));
      }
    }
  }

  // The consumers'.
  __device__ void wait(unsigned n) const { head->full[n % kStages].wait(int(n / kStages % 2)); }
  __device__ void release(PhaseBarrier& barrier) const {
    __syncwarp();
    if (threadIdx.x % kWarp == 0) barrier.arrive();
  }
  __device__ void release(unsigned n) const { release(head->empty[n % kStages]); }

  // Begins x = a warpgroup's cosines with a tile.
  __device__ void begin_cosines(unsigned n, WarpgroupSums& x) const {
    SharedPlace rows = shared_place(own) + (int(threadIdx.x) / kWarpgroup - 1) * 64 * kPanel;
    const SharedPlace other = tile(n);
#ifndef AVSA_EMULATE
    asm volatile("" : "+r"(rows));  // or all descriptors of own rows are made beforehand, and take registers
#endif
    fence_products();
    AVSA_UNROLL
    for (int k = 0; k < kPanels * kPanel; k += 2 * kDepth) {
      const int at = k / kPanel * kPackedRows * kPanel + k % kPanel;
      if (k == 0)
        begin_multiply<false>(x, along_rows(rows), along_rows(other));
      else
        begin_multiply<true>(x, along_rows(rows + at), along_rows(other + at));
    }
    commit_products();
  }
};

// -infinity where rows do not compete, or are beyond the last.
__device__ inline void mask(const PackedPass& pass, std::int64_t row, std::int64_t tile, WarpgroupSums& x) {
  if (all_compete(pass, row - threadIdx.x % kWarp / 4, 16, tile, kOther)) return;  // alike for all of a warp
  const OwnRows own(pass, row);
  const int first = int(threadIdx.x % 4) * 2, K = int(pass.K), clips = 8 / K, crops = 8 % K;
  AVSA_UNROLL
  for (int n = 0; n < 2; ++n) {
    Label other(pass.other.first + tile + first + n, pass.K);
    AVSA_UNROLL
    for (int c = 0; c < kOther / 8; ++c) {
      AVSA_UNROLL
      for (int half = 0; half < 2; ++half) {
        const bool inside = row + 8 * half < pass.own.count && tile + first + n + 8 * c < pass.other.count;
        if (!inside || !compete(own.label[half], other)) x[c][2 * half + n] = -kInfinity<float>;
      }
      // 8 columns further, without a division.
      other.clip += clips;
      other.crop += crops;
      if (other.crop >= K) other.crop -= K, ++other.clip;
    }
  }
}

// A lane's first row of a block's.
__device__ inline std::int64_t lane_row(std::int64_t block) {
  return block + (threadIdx.x - kWarpgroup) / kWarp * 16 + threadIdx.x % kWarp / 4;
}

}  // namespace avsa
