// Element types of tensors.
#pragma once

namespace avsa {

enum class Dtype : int { uint8, float16, bfloat16, float32, float64, boolean, int64, unsupported };

constexpr const char* dtype_name(Dtype dtype) {
  constexpr const char* kNames[] = {"uint8",   "float16", "bfloat16", "float32",
                                    "float64", "bool",    "int64",    "unsupported"};
  return kNames[int(dtype)];
}

}  // namespace avsa
