// The thread blocks of the CUDA kernels: each block processes one tile of a crop, one thread per pixel.
#pragma once
#include "core/launch.h"
#include "gnomonic/gnomonic.h"

namespace avsa::gnomonic {

constexpr int kThreads = kTile;

// Block crop · tiles + tile processes that tile.
inline dim3 tile_grid(const GnomonicView& view) { return dim3(unsigned(view.B * view.K * view.tiles())); }

// Sum of `value` over the threads of the block, returned in each of them.
__device__ inline double block_sum(double value) {
  __shared__ double warps[kThreads / 32];
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  for (double warp : warps) sum += warp;
  return sum;
}

}  // namespace avsa::gnomonic
