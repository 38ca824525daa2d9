// Unit tests of the kernels' mathematics against values from outside: closed forms, definitions, the standard library.
// Runs all tests; the exit code is 1 if one fails. python_tests/test_cpp.py runs the executable.
#include "tests/check.h"

int main() {
  int failed = 0;
  for (const avsa::tests::Test& test : avsa::tests::all_tests()) {
    avsa::tests::failures = 0;
    test.run();
    if (avsa::tests::failures > 0) ++failed;
    std::printf("%s %s", avsa::tests::failures > 0 ? "FAILED" : "passed", test.name);
    if (avsa::tests::failures > 0) std::printf(": %d failures", avsa::tests::failures);
    std::printf("\n");
  }
  std::printf("%d of %zu tests failed\n", failed, avsa::tests::all_tests().size());
  return failed > 0 || avsa::tests::all_tests().empty();
}
