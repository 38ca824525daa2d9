# make train | test | test-slow | bench | lint : each makes its own virtual environment, installs, builds and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc cmake CMakeLists.txt -type f)

.PHONY: train test test-slow bench lint emulated sanitized install clean

emulated: build/emulated/.built
sanitized: build/sanitized/.built
build/emulated/.built: $(SOURCES) $(VENV)/.dependencies
	$(BIN)/cmake -S . -B build/emulated -G Ninja -DAVSA_EMULATE=ON -DPython_EXECUTABLE=$(abspath $(BIN)/python) -Dpybind11_DIR=`$(BIN)/python -m pybind11 --cmakedir`
	$(BIN)/cmake --build build/emulated
	touch $@
