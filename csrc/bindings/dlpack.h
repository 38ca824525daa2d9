// The part of DLPack 1 that reads a tensor without copying or owning it: same layout as dlpack.h, versions 1.x.
// https://dmlc.github.io/dlpack/latest/c_api.html
#pragma once
#include <cstdint>

namespace avsa::dlpack {

constexpr std::uint32_t kMajorVersion = 1;
constexpr const char* kCapsuleName = "dlpack_exchange_api";

constexpr std::int32_t kCpu = 1, kCuda = 2;                                      // DLDeviceType
constexpr std::uint8_t kInt = 0, kUint = 1, kFloat = 2, kBfloat = 4, kBool = 6;  // DLDataTypeCode

struct DLDevice {
  std::int32_t type;
  std::int32_t index;
};

struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t rank;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements
  std::uint64_t byte_offset;
};

struct DLPackExchangeAPI {
  struct Header {
    std::uint32_t major, minor;
    const Header* previous;  // an older version, or null
  } header;
  void* functions_that_own_tensors[3];
  int (*dltensor_from_py_object)(void* object, DLTensor* out);  // 0, or -1 with a Python exception set
  void* current_work_stream;
};

}  // namespace avsa::dlpack
