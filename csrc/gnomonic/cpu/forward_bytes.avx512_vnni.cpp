// forward_bytes.simd.cpp once more, with the products of bytes of AVX-512 VNNI.
#include "gnomonic/cpu/forward_bytes.simd.cpp"
