// Frames of bytes, in a file that is compiled once for each instruction set, AVSA_ISA: compilers split wide vectors for
// a function's own before they inline it into another's. Nothing in it is NaN or infinite, and is compiled as such.
#include "gnomonic/cpu/sampling.h"

namespace avsa::gnomonic {

template <>
void sample_bytes<Isa::AVSA_ISA>(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip,
                                 std::int64_t first_frame, int frames, std::int64_t pixel, int blocks,
                                 ByteGroups<kFloats<Isa::AVSA_ISA>>& weights, Block<float>* out) {
  sample_any<std::uint8_t>(task, rays, clip, first_frame, frames, pixel, blocks, weights, out);
}

}  // namespace avsa::gnomonic
