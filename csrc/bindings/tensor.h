// Lets bound functions take torch tensors: Tensor for torch.Tensor, std::optional<Tensor> for torch.Tensor | None.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/tensor.h"

namespace avsa::bindings {

// Finds PyTorch's DLPack functions. Throws ImportError without them.
void load_dlpack();

// False if the object is not a torch.Tensor. The view is valid as long as the tensor is neither freed nor resized.
bool view_tensor(PyObject* object, Tensor& view);

}  // namespace avsa::bindings

template <>
struct pybind11::detail::type_caster<avsa::Tensor> {
  PYBIND11_TYPE_CASTER(avsa::Tensor, const_name("torch.Tensor"));

  bool load(handle source, bool) { return avsa::bindings::view_tensor(source.ptr(), value); }
};
