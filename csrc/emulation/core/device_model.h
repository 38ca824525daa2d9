// The device that is emulated, which tests choose.
#pragma once
#include <cstddef>

namespace avsa::emulation {

struct Architecture {
  int number;          // compute capability: 90 for 9.0
  std::size_t shared;  // bytes of shared memory that a thread block can have
};

Architecture architecture();
bool set_architecture(int number);  // false for one that is not known
void set_order(int order);          // of Order, in which the threads of a block take turns
long& launches();                   // of kernels, so far

}  // namespace avsa::emulation
