// The forward kernel for frames of floats, which may hold NaN and infinity.
#include "gnomonic/cpu/forward.h"

namespace avsa::gnomonic::AVSA_ISA {

void forward_floats(const Gnomonic& task) {
  task.frames_dtype == Dtype::float64 ? forward<double>(task) : forward<float>(task);
}

}  // namespace avsa::gnomonic::AVSA_ISA
