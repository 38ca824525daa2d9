#include "bindings/tensor.h"

#include <stdexcept>

#include "bindings/dlpack.h"

namespace avsa::bindings {
namespace {

namespace py = pybind11;
using dlpack::DLPackExchangeAPI;

PyTypeObject* tensor_type = nullptr;  // torch.Tensor, which lives as long as the process
const DLPackExchangeAPI* api = nullptr;

Dtype dtype_of(const dlpack::DLDataType& type) {
  if (type.lanes != 1) return Dtype::unsupported;
  if (type.code == dlpack::kFloat && type.bits == 32) return Dtype::float32;
  if (type.code == dlpack::kFloat && type.bits == 64) return Dtype::float64;
  if (type.code == dlpack::kFloat && type.bits == 16) return Dtype::float16;
  if (type.code == dlpack::kBfloat && type.bits == 16) return Dtype::bfloat16;
  if (type.code == dlpack::kUint && type.bits == 8) return Dtype::uint8;
  if (type.code == dlpack::kInt && type.bits == 64) return Dtype::int64;
  if (type.code == dlpack::kBool && type.bits == 8) return Dtype::boolean;
  return Dtype::unsupported;
}

Device device_of(const dlpack::DLDevice& device) {
  if (device.type == dlpack::kCpu) return {DeviceType::cpu, 0};
  if (device.type == dlpack::kCuda) return {DeviceType::cuda, device.index};
  throw std::invalid_argument("kernels take tensors on the CPU and on CUDA devices only");
}

}  // namespace

void load_dlpack() {
  const py::object type = py::module_::import("torch").attr("Tensor");
  const py::object capsule = py::getattr(type, "__dlpack_c_exchange_api__", py::none());
  const auto* found =
      capsule.is_none()
          ? nullptr
          : static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kCapsuleName));
  if (PyErr_Occurred()) throw py::error_already_set();
  while (found && found->header.major > dlpack::kMajorVersion)
    found = reinterpret_cast<const DLPackExchangeAPI*>(found->header.previous);
  if (!found || found->header.major != dlpack::kMajorVersion || !found->dltensor_from_py_object)
    throw py::import_error("this torch has no DLPack exchange API of version 1");
  api = found;
  tensor_type = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr());
}

bool view_tensor(PyObject* object, Tensor& view) {
  if (!PyObject_TypeCheck(object, tensor_type)) return false;
  dlpack::DLTensor tensor;
  if (api->dltensor_from_py_object(object, &tensor) != 0) throw py::error_already_set();
  view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  view.dtype = dtype_of(tensor.dtype);
  view.device = device_of(tensor.device);
  view.shape = {tensor.shape, std::size_t(tensor.rank)};
  view.strides = {tensor.strides, std::size_t(tensor.rank)};
  return true;
}

}  // namespace avsa::bindings
