// Launches CUDA kernels, for all csrc/*/cuda. csrc/emulation/core/launch.h takes its place in the tests.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace avsa {

// Launches nothing for an empty grid, which CUDA would refuse. `shared`: bytes of dynamic shared memory. Returns a
// cudaError_t.
template <class... P, class... A>
int launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared, void* stream, A... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaSuccess;
  constexpr std::size_t kDefaultShared = 48 << 10;  // more needs the kernel's attribute
  if (shared > kDefaultShared) {
    const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
    if (int error = cudaFuncSetAttribute(kernel, attribute, int(shared))) return error;
  }
  // clang-format off
  kernel<<<grid, block, shared, static_cast<cudaStream_t>(stream)>>>(static_cast<P>(args)...);
  // clang-format on
  return cudaGetLastError();
}

// The dynamic shared memory of the running kernel.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char avsa_dynamic_shared[];
  return reinterpret_cast<T*>(avsa_dynamic_shared);
}

}  // namespace avsa
