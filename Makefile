# make train | test | test-slow | bench | results | docs | lint: each makes its own virtual environment, installs, builds and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc cmake CMakeLists.txt -type f)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# As avsa_fast.train does: other processes on the machine would stall threads that spin.
export OMP_WAIT_POLICY := PASSIVE
# The fast tests; the long proofs measure, and want the machine for themselves.
PARALLEL := -n 2 --dist worksteal

.PHONY: train test test-slow bench results docs lint emulated sanitized clean

train: $(VENV)/.installed
	$(BIN)/python -m avsa_fast.train $(ARGS)

test: $(VENV)/.developer emulated sanitized
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)
	$(SANITIZED) $(BIN)/python -m pytest $(PARALLEL) python_tests/ops -k "not compile and not opcheck and not gradcheck" -q

test-slow: $(VENV)/.developer emulated
	$(BIN)/python -m pytest -m slow $(ARGS)

bench: $(VENV)/.developer
	$(PIP) --editable '.[bench]'
	mkdir -p build
	$(BIN)/python -m pytest benchmarks/bench_*.py --benchmark-only --benchmark-json build/benchmark.json -q $(ARGS)
	$(BIN)/python benchmarks/table.py build/benchmark.json

# The tables of docs/results.md: make results ARGS="OUT --assets DIR".
results: $(VENV)/.developer
	$(BIN)/python benchmarks/results.py $(ARGS)

docs: $(VENV)/.developer
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu')

clean:
	rm -rf $(VENV) build

# The package, editable, so that commands run from this folder find its compiled kernels.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt $(SOURCES)
	$(PIP) --editable '.[yolo]'
	touch $@

$(VENV)/.developer: $(VENV)/.made pyproject.toml constraints.txt $(SOURCES)
	$(PIP) --editable '.[yolo,export,dev,docs]'
	touch $(VENV)/.installed $@

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

# The CUDA kernels as host code, for the tests; and once more, with the host kernels, under ASan and UBSan.
emulated: build/emulated/.built
sanitized: build/sanitized/.built
build/emulated/.built: CMAKE_OPTIONS :=
build/sanitized/.built: CMAKE_OPTIONS := -DAVSA_SANITIZE=ON
build/%/.built: $(SOURCES) $(VENV)/.developer
	$(BIN)/cmake -S . -B build/$* -G Ninja -DAVSA_EMULATE=ON $(CMAKE_OPTIONS) -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
	  -DPython_EXECUTABLE=$(abspath $(BIN)/python) -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build build/$*
	touch $@

SANITIZED := AVSA_EMULATED=build/sanitized ASAN_OPTIONS=detect_leaks=0 \
  LD_PRELOAD="$(shell g++ -print-file-name=libasan.so) $(shell g++ -print-file-name=libubsan.so)"
