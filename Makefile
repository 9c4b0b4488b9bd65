# make test: lint, format check and tests in a virtual environment of its own. make help lists the rest.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# passed on to pytest; CI runs the slow tests too: make test PYTEST_ARGS='-m "not gpu"'
PYTEST_ARGS ?=
# a text file for make demo; without one it takes the text that comes with Python
TEXT ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help install test test-matrix check style demo bench bench-gpu clean

help:
	@echo "make test    install, then lint, format check and the quick tests (under five minutes)"
	@echo "make test-matrix  the same at both ends of the supported versions, each in an environment of its own"
	@echo "make check   the same without installing"
	@echo "make style   format and fix what can be fixed"
	@echo "make demo    pretrain a small GLM on this machine and fill blanks with it; TEXT=my.txt takes your text"
	@echo "make bench   the speed ratios of benchmarks/, written to benchmarks/RESULTS.md"
	@echo "make bench-gpu  the same for one card"
	@echo "make clean   remove the environments, output/ and caches"

install: $(STAMP)

# installed again only when one of these files changes
$(STAMP): setup.cfg pyproject.toml $(CONSTRAINTS)
	@echo "Installing into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e '.[test]'
	touch $(STAMP)

test: $(STAMP)
	$(MAKE) check

test-matrix: test
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

style:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: $(STAMP)
	$(BIN)/python scripts/demo.py $(if $(TEXT),--text "$(TEXT)")

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

bench-gpu: $(STAMP)
	$(BIN)/python benchmarks/run.py gpu

clean:
	rm -rf $(VENV) .venv-lowest output .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
