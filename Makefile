# Horseshoe: every target sets up what it needs, in an environment of its own under .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
SIZE ?= 500

.DEFAULT_GOAL := help
.PHONY: help demo test lint check bench scaling coverage docs clean

help:
	@echo "make demo   compute a three-body divergence map on 2 MPI ranks and draw it"
	@echo "make test   ruff, mypy --strict and the test suite"
	@echo "make check  the long tests; writes docs/checks.md"
	@echo "make coverage  compute the gallery's checks; writes docs/coverage.md"
	@echo "make docs   write docs/job.md, the reference of a job's keys"
	@echo "make scaling  measure and simulate many units and ranks; writes docs/scaling.md"
	@echo "make bench  measure the kernels against their baselines; writes benchmarks/RESULTS.md"

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

demo: $(VENV)/.run
	@mkdir -p $(DEMO)
	$(BIN)/mpiexec -n 2 $(BIN)/horseshoe run three-body --set 'view.resolution=[$(SIZE), $(SIZE)]' --out $(DEMO)/three-body.zarr
	@$(BIN)/horseshoe image $(DEMO)/three-body.zarr --out $(DEMO)/three-body.png

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 300 --numprocesses 2 -m "not check and not gpu and not mpi and not slurm"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --timeout 300 -m "(mpi or slurm) and not check and not gpu"

check: $(VENV)/.dev
	@mkdir -p build
	$(BIN)/python -m pytest --timeout 3600 -o faulthandler_timeout=3600 -m "check and not gpu" --junitxml build/checks.xml; code=$$?; \
		$(BIN)/python -m benchmarks.checks build/checks.xml; exit $$code

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

scaling: $(VENV)/.dev
	$(BIN)/python -m benchmarks.scaling

coverage: $(VENV)/.dev
	$(BIN)/python -m benchmarks.coverage

docs: $(VENV)/.dev
	$(BIN)/python -m benchmarks.reference

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
