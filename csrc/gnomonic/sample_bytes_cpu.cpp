// Frames of bytes, in a file of its own: nothing in it is NaN or infinite, and is compiled as such.
#include "core/clones.h"
#include "gnomonic/sampling.h"

namespace avsa {

void sample_bytes(const Gnomonic& task, const Rays<double>& rays, std::int64_t clip, std::int64_t first_frame,
                  int frames, std::int64_t pixel, int blocks, ByteGroups& weights, Block<float>* out) {
  for_isa([&]() AVSA_INLINED {
    sample_any<std::uint8_t>(task, rays, clip, first_frame, frames, pixel, blocks, weights, out);
  });
}

}  // namespace avsa
