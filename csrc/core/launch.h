// Launches CUDA kernels, for all csrc/*/cuda. csrc/emulation/core/launch.h takes its place in the tests.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace avsa {

// Shared memory that a thread block of the current device can have; any size if the device does not answer: the launch
// then reports why.
inline std::size_t max_shared_bytes() {
  int device, bytes;
  if (!cudaGetDevice(&device) && !cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device)) {
    return std::size_t(bytes);
  }
  cudaGetLastError();
  return ~std::size_t(0);
}

// Launches nothing for an empty grid, which CUDA would refuse. `shared`: bytes of dynamic shared memory; a kernel that
// has it declares no static shared memory, so that these are all its bytes. Returns a cudaError_t.
template <class... P, class... A>
int launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared, void* stream, A... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaSuccess;
  const void* function = reinterpret_cast<const void*>(kernel);
  const auto start = [&](P... values) {
    void* addresses[] = {&values...};
    return cudaLaunchKernel(function, grid, block, addresses, shared, static_cast<cudaStream_t>(stream));
  };
  cudaError_t error = cudaSuccess;
  // Always, since what needs no attribute is less than 48 KiB by what the kernel and the driver reserve.
  if (shared > 0) {
    error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
  }
  if (!error) error = start(static_cast<P>(args)...);
  if (error) cudaGetLastError();  // clears it: otherwise the next launch, ours or torch's, would report it
  return error;
}

// The dynamic shared memory of the running kernel.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char avsa_dynamic_shared[];
  return reinterpret_cast<T*>(avsa_dynamic_shared);
}

}  // namespace avsa
