# The device kernels: a static library of their own, since pybind11's link-time optimisation drops device code.
if(NOT AVSA_CUDA MATCHES "^(AUTO|ON|PYPI|OFF)$")
  message(FATAL_ERROR "AVSA_CUDA must be AUTO, ON, PYPI or OFF, not '${AVSA_CUDA}'")
endif()
if(AVSA_CUDA STREQUAL "OFF")
  return()
endif()

if(AVSA_CUDA STREQUAL "PYPI")
  # Where the wheels of pyproject.toml put the compiler: the build environment's site-packages.
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c "import nvidia.cu13 as cuda; print(*cuda.__path__, sep=';')"
    OUTPUT_VARIABLE WHEELS OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  find_program(AVSA_NVCC_WHEEL nvcc PATHS ${WHEELS} PATH_SUFFIXES bin NO_DEFAULT_PATH NO_CACHE)
  if(NOT AVSA_NVCC_WHEEL)
    message(FATAL_ERROR "AVSA_CUDA=PYPI needs the wheels that pip installs for it: build by `AVSA_CUDA=PYPI pip install .`, "
      "or without build isolation after `pip install` of [[tool.scikit-build.overrides]] in pyproject.toml")
  endif()
  set(AVSA_NVCC ${AVSA_NVCC_WHEEL})
  # nvcc links from lib64; the wheels' libraries lie in lib. For CMake's trial of the compiler, then for us:
  cmake_path(SET WHEEL_LIBRARIES NORMALIZE ${AVSA_NVCC}/../../lib)
  set(ENV{LIBRARY_PATH} ${WHEEL_LIBRARIES}:$ENV{LIBRARY_PATH})
  link_directories(${WHEEL_LIBRARIES})
else()
  find_program(AVSA_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda/bin)
endif()
if(NOT AVSA_NVCC)
  if(AVSA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "AVSA_CUDA=ON needs nvcc: put it on PATH, or set CUDA_HOME; AVSA_CUDA=PYPI brings its own")
  endif()
  message(STATUS "No nvcc found: building without CUDA kernels")
  return()
endif()

if(NOT AVSA_CUDA_ARCHITECTURES)
  set(AVSA_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
endif()
set(CMAKE_CUDA_COMPILER ${AVSA_NVCC})
set(CMAKE_CUDA_ARCHITECTURES ${AVSA_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)

add_library(avsa_device STATIC ${DEVICE_SOURCES})
target_include_directories(avsa_device PRIVATE csrc)
string(REPLACE ";" " " CUDA_ARCHITECTURES_TEXT "${AVSA_CUDA_ARCHITECTURES}")
target_compile_definitions(avsa_device PUBLIC AVSA_CUDA_RUNTIME="${CMAKE_CUDA_COMPILER_VERSION}" AVSA_CUDA_ARCHS="${CUDA_ARCHITECTURES_TEXT}")
