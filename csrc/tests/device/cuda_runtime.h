// The part of the CUDA runtime that core/launch.h uses, as a model of one device: dynamic shared memory beyond 48 KiB
// less the kernel's static memory needs the kernel's attribute, and an error stays in the slot of cudaGetLastError
// until that is called. tests/launch.cpp includes it inside a namespace.
#pragma once
#define __device__
#define __shared__
#define __align__(n)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin };
using cudaStream_t = struct CUstream*;

struct DeviceModel {
  int max_shared = 99 << 10;  // bytes per thread block, with the attribute
  int static_shared = 0;      // bytes that the kernel declares
  int attribute = 0;          // bytes that the kernel's attribute allows; 0: not set
  cudaError_t last = cudaSuccess;
  int launches = 0;
};
inline DeviceModel model;

inline cudaError_t kept(cudaError_t error) {
  if (error) model.last = error;
  return error;
}
inline cudaError_t cudaGetLastError() {
  const cudaError_t error = model.last;
  model.last = cudaSuccess;
  return error;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = model.max_shared;
  return cudaSuccess;
}
inline cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int bytes) {
  if (bytes + model.static_shared > model.max_shared) return kept(cudaErrorInvalidValue);
  model.attribute = bytes;
  return cudaSuccess;
}
inline cudaError_t cudaLaunchKernel(const void* kernel, dim3, dim3, void** arguments, decltype(sizeof 0) shared,
                                    cudaStream_t) {
  const int allowed = model.attribute ? model.attribute : (48 << 10) - model.static_shared;
  if (int(shared) > allowed) return kept(cudaErrorInvalidValue);
  ++model.launches;
  reinterpret_cast<void (*)(int, const double*)>(const_cast<void*>(kernel))(*static_cast<int*>(arguments[0]),
                                                                            *static_cast<const double**>(arguments[1]));
  return cudaSuccess;
}
