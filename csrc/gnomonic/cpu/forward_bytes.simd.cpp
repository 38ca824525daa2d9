// The forward kernel for frames of bytes. cmake/simd.cmake compiles it for finite numbers only: minima and maxima then
// are single instructions.
#include "gnomonic/cpu/forward.h"

namespace avsa::gnomonic::AVSA_ISA {

void forward_bytes(const Gnomonic& task) { forward<std::uint8_t>(task); }

}  // namespace avsa::gnomonic::AVSA_ISA
