// The Python module: one function per kernel, which takes torch tensors by keyword. avsa_fast/_C.pyi is its stub.
#include <pybind11/pybind11.h>

#include "bindings/call.h"
#include "bindings/tensor.h"
#include "core/dispatch.h"
#ifdef AVSA_EMULATE
#include "emulation/core/device_model.h"
#endif

namespace avsa::bindings {
namespace {

namespace py = pybind11;

py::dict build_info() {
  py::dict info;
#if defined(AVSA_CUDA_RUNTIME)
  info["cuda"] = true;
  info["cuda_archs"] = AVSA_CUDA_ARCHS;
  info["cuda_runtime"] = AVSA_CUDA_RUNTIME;
#else
  info["cuda"] = false;
  info["cuda_archs"] = "";
  info["cuda_runtime"] = py::none();
#endif
  info["cpu_isa"] = kIsaNames[int(isa())];
#ifdef _OPENMP
  info["openmp"] = true;
#else
  info["openmp"] = false;
#endif
  return info;
}

// The exception types live as long as the process.
void define_errors(py::module_& m) {
  static PyObject *cuda_error, *no_device_kernels;
  cuda_error = py::exception<CudaError>(m, "CudaError", PyExc_RuntimeError).release().ptr();
  no_device_kernels = py::exception<NoDeviceKernels>(m, "NoDeviceKernels", PyExc_RuntimeError).release().ptr();
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const CudaError& e) {
      PyErr_SetObject(cuda_error, py::int_(e.code).ptr());
    } catch (const NoDeviceKernels&) {
      PyErr_SetString(no_device_kernels, "this build has no device kernels");
    }
  });
}

}  // namespace
}  // namespace avsa::bindings

#define AVSA_DEFINE_MODULE(name, m) PYBIND11_MODULE(name, m)  // expands the name before pybind11 pastes it

AVSA_DEFINE_MODULE(AVSA_MODULE, m) {
  using namespace avsa::bindings;
  load_dlpack();
  define_errors(m);
  pybind11::tuple isas(std::size(avsa::kIsaNames));
  for (std::size_t n = 0; n < std::size(avsa::kIsaNames); ++n) isas[n] = avsa::kIsaNames[n];
  m.attr("ISAS") = isas;
  m.def("build_info", build_info);
  define_ambisonics(m);
  define_features(m);
  define_gnomonic(m);
  define_info_nce(m);
#ifdef AVSA_EMULATE
  m.def("emulate_device", [](bool on) { emulate_device = on; }, pybind11::arg("on"));
  m.def("emulate_architecture", avsa::emulation::set_architecture, pybind11::arg("number"));
  m.def("emulate_order", avsa::emulation::set_order, pybind11::arg("order"));
  m.def("emulated_launches", [] { return avsa::emulation::launches(); });
#endif
}
