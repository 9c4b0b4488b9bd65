# make test: lint, format check and tests in a virtual environment of its own. make help lists the rest.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# passed on to pytest; CI runs the slow tests too: make test PYTEST_ARGS='-m "not gpu"'
PYTEST_ARGS ?=
# a text file for make demo; without one it takes the text that comes with Python
TEXT ?=

# what the last row of make test-matrix takes at its newest, whatever else is in the environment
NEWEST := transformers peft accelerate datasets tokenizers huggingface-hub sentence-transformers lm-eval

BIN = $(VENV)/bin
STAMP = $(VENV)/installed

.PHONY: help install test test-matrix test-lowest test-newest check style demo bench bench-gpu clean

help:
	@echo "make test    install, then lint, format check and the quick tests (under six minutes)"
	@echo "make test-matrix  what is supported, each row in an environment of its own: make test and the two below"
	@echo "make test-lowest  make test at the lower end of the supported versions"
	@echo "make test-newest  the core tests with the newest releases that the package index has at this moment"
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

test-matrix: test test-lowest test-newest

test-lowest:
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

# Resolved again in each run, so there is no stamp. What is newest is asked for first and apart: pip installs what it has from
# before, or from a folder, where it does not reach the index. torch stays where constraints.txt has it.
test-newest: VENV = .venv-newest
test-newest:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --dry-run --ignore-installed --no-deps --retries 5 $(NEWEST) 2>&1 | tee $(VENV)/index.log
	@if ! grep -q '^Would install' $(VENV)/index.log || grep -qE 'Retry\(total=0|Could not fetch URL' $(VENV)/index.log; then \
		echo "The package index was not reached, so the newest releases are not known, and this row of the matrix is not tested." \
			"Run make test-newest again when pip reaches it." >&2; exit 1; fi
	grep '^torch==' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/python -m pip install --upgrade --upgrade-strategy eager -c $(VENV)/constraints.txt -e '.[test]'
	@echo "Newest on the index: $$(sed -n 's/^Would install //p' $(VENV)/index.log)"
	@$(BIN)/python -c 'import sys; from importlib.metadata import version; print("Tested here:", *(f"{name}-{version(name)}" for name in sys.argv[1:]))' $(sort $(NEWEST)) torch
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "core and not slow and not gpu"
	# and repositories with code, in processes without the package
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "core and slow and not gpu" tests/test_hub_files.py tests/hub tests/test_generation_hooks.py

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
	rm -rf $(VENV) .venv-lowest .venv-newest output .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
