// Element types as they cross from Python: the numbers are those of avsa_fast/ops/_kernel.py.
#pragma once

namespace avsa {

enum class Dtype : int { uint8 = 0, float16 = 1, bfloat16 = 2, float32 = 3, float64 = 4 };

}  // namespace avsa
