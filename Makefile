# Each target makes the environment it needs by itself: `make quickstart` and `make test` work
# on a machine that has only Python >= 3.11 and make. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(wildcard tutorials/*.ipynb)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env quickstart test lint docs notebooks bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# One stamp an extra, newer than what it was installed from; the editable install needs no other trigger.
# A virtual environment whose creation broke off has no pip, and is made again.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --no-input -c constraints.txt -e ".[$*]"
	@touch $@

env: $(VENV)/.installed-test  ## make .venv with the package and its test dependencies

quickstart: $(VENV)/.installed-test  ## translate real cells between two panels; figures go to figures/
	MPLBACKEND=Agg $(BIN)/python tutorials/quickstart.py

test: $(VENV)/.installed-test  ## run the tests; those on real data need SCGX_DATA_DIR
	MPLBACKEND=Agg OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev  ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-doc  ## build the documentation, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

# No MPLBACKEND here: Agg would take the figures out of the notebooks.
notebooks: $(VENV)/.installed-test  ## execute the tutorials' notebooks in place; some need SCGX_DATA_DIR
	$(BIN)/python docs/execute_notebooks.py $(NOTEBOOKS)

bench: $(VENV)/.installed-test  ## run every job on real data (SCGX_DATA_DIR), results in build/bench; a look: make bench QUICK=--quick
	$(BIN)/python benchmarks/every_job.py $(QUICK)

clean:  ## remove what was built, and the environment
	rm -rf $(VENV) build dist figures docs/_build docs/generated docs/notebooks .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache
