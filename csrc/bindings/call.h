// Calls the kernel of a task: the host's for CPU tensors, the device's for CUDA tensors.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <type_traits>

#include "core/tensor.h"

#ifdef AVSA_HAS_DEVICE_KERNELS  // CUDA, or its emulation in the tests
#define AVSA_DEVICE(function) function
#else
#define AVSA_DEVICE(function) nullptr
#endif

namespace avsa::bindings {

// Raised in Python as _C.CudaError(code).
struct CudaError {
  int code;  // a cudaError_t
};

// Raised in Python as _C.NoDeviceKernels.
struct NoDeviceKernels {};

#ifdef AVSA_EMULATE
inline bool emulate_device = true;  // whether CPU tensors go to the device kernels
#endif

inline bool uses_device_kernel([[maybe_unused]] const Device& device) {
#ifdef AVSA_EMULATE
  return emulate_device;
#else
  return device.type == DeviceType::cuda;
#endif
}

// Releases the GIL. Returns what the host kernel returns, 0 for kernels without a result and on devices.
template <class Task, class Result>
int call(const Device& device, std::uintptr_t stream, const Task& task, Result (*host)(const Task&),
         std::type_identity_t<int (*)(const Task&, void*)> cuda) {
  pybind11::gil_scoped_release release;
  if (uses_device_kernel(device)) {
    if (!cuda) throw NoDeviceKernels{};
    if (const int code = cuda(task, reinterpret_cast<void*>(stream))) throw CudaError{code};
    return 0;
  }
  if constexpr (std::is_void_v<Result>) {
    host(task);
    return 0;
  } else {
    return host(task);
  }
}

// Each operation's functions.
void define_ambisonics(pybind11::module_& m);
void define_features(pybind11::module_& m);
void define_gnomonic(pybind11::module_& m);
void define_info_nce(pybind11::module_& m);

}  // namespace avsa::bindings
