# Host sources that are compiled once per instruction set: csrc/core/dispatch.h says how they are called.
set(AVSA_ISA_SETS baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT AVSA_SANITIZE)  # baseline code shows the same mistakes
  list(APPEND AVSA_ISA_SETS avx2 avx512 avx512_vnni avx512_bf16)
endif()
set(AVSA_ISA_avx2 -march=x86-64-v3)
set(AVSA_ISA_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
set(AVSA_ISA_avx512_vnni ${AVSA_ISA_avx512} -mavx512vbmi -mavx512vnni)
set(AVSA_ISA_avx512_bf16 ${AVSA_ISA_avx512_vnni} -mavx512bf16)

# Per file. Without -ffinite-math-only GCC does not compile minima and maxima to single instructions.
file(GLOB FORWARD_BYTES CONFIGURE_DEPENDS csrc/gnomonic/cpu/forward_bytes.*.cpp)
set_source_files_properties(${FORWARD_BYTES} PROPERTIES COMPILE_OPTIONS "-ffinite-math-only;-fno-signed-zeros")

# Adds to TARGET the objects of csrc/*/cpu/*.simd.cpp for baseline, avx2 and avx512, and of *.<set>.cpp for that set.
function(avsa_add_simd_sources TARGET)
  foreach(isa ${AVSA_ISA_SETS})
    file(GLOB sources CONFIGURE_DEPENDS csrc/*/cpu/*.${isa}.cpp)
    if(isa MATCHES "^(baseline|avx2|avx512)$")
      file(GLOB common CONFIGURE_DEPENDS csrc/*/cpu/*.simd.cpp)
      list(APPEND sources ${common})
    endif()
    if(NOT sources)
      continue()
    endif()
    add_library(avsa_${isa} OBJECT ${sources})
    target_compile_definitions(avsa_${isa} PRIVATE AVSA_ISA=${isa})
    target_compile_options(avsa_${isa} PRIVATE ${AVSA_ISA_${isa}})
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)  # false for its own intrinsics, and for vectors that are set lane by lane
      target_compile_options(avsa_${isa} PRIVATE -Wno-maybe-uninitialized)
    endif()
    target_link_libraries(avsa_${isa} PRIVATE avsa_options)
    target_sources(${TARGET} PRIVATE $<TARGET_OBJECTS:avsa_${isa}>)
    # A function compiled for one set under a name that all share could be the one that the linker keeps.
    add_custom_target(avsa_check_${isa} ALL
      COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DISA=${isa} "-DOBJECTS=$<TARGET_OBJECTS:avsa_${isa}>"
              -P ${PROJECT_SOURCE_DIR}/cmake/check_simd.cmake
      DEPENDS $<TARGET_OBJECTS:avsa_${isa}> VERBATIM)
  endforeach()
endfunction()
