#include "core/device_model.h"

#include "core/block.h"

namespace avsa::emulation {
namespace {

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
constexpr Architecture kArchitectures[] = {{80, 163 << 10}, {86, 99 << 10},   {89, 99 << 10},
                                           {90, 227 << 10}, {100, 227 << 10}, {120, 99 << 10}};
Architecture chosen = {90, 227 << 10};
long count = 0;

}  // namespace

Architecture architecture() { return chosen; }

bool set_architecture(int number) {
  for (const Architecture& known : kArchitectures) {
    if (known.number != number) continue;
    chosen = known;
    return true;
  }
  return false;
}

void set_order(int number) { order = Order(number); }

long& launches() { return count; }

}  // namespace avsa::emulation
