// A minimal test harness: TEST defines a test, EXPECT prints a line for a condition that does not hold. main.cpp runs
// all.
#pragma once
#include <cstdio>
#include <vector>

namespace avsa::tests {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(const char* name, void (*run)()) { all_tests().push_back({name, run}); }
};

inline int failures = 0;  // of the test that runs
constexpr int kMaxPrinted = 10;

}  // namespace avsa::tests

#define TEST(name)                                                           \
  static void name();                                                        \
  static const ::avsa::tests::Registration name##_registration(#name, name); \
  static void name()

// EXPECT(condition, format, ...): printf's arguments say which values were found.
#define EXPECT(condition, ...)                                                    \
  do {                                                                            \
    if (!(condition) && ::avsa::tests::failures++ < ::avsa::tests::kMaxPrinted) { \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);                 \
      std::printf(__VA_ARGS__);                                                   \
      std::printf("\n");                                                          \
    }                                                                             \
  } while (false)
