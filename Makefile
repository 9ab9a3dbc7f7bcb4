# Everything runs in .venv; the stamps make a second call start at once.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-dev
READY_DOCS := $(VENV)/.ready-docs
RUN := runs/quick

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-scratch test test-all lint docs results bench clean FORCE

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | column -t -s '|'

venv: $(READY)  ## create .venv with everything the other targets need

demo: $(READY)  ## adapt the tokens that come with the package to four simulations of many pores; forecast, score, report
	$(BIN)/probtokens run examples/quick.yaml --out $(RUN)

demo-scratch: $(READY)  ## the same with small tokens from nothing, and PARC beside them
	$(BIN)/probtokens run examples/scratch.yaml --out runs/scratch

test: $(READY)  ## run the tests that take seconds, in two processes
	$(BIN)/pytest --numprocesses 2 --dist loadfile

test-all: $(READY)  ## run every test, the slow ones too
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m ''

lint: $(READY)  ## check style, imports, docstrings and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY_DOCS)  ## build the documentation in build/docs and run its examples
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/pytest tests/test_docs.py

results: $(READY)  ## copy what the documentation shows from the demo's run to docs/results
	$(BIN)/python examples/collect_results.py $(RUN) docs/results/quick

bench: $(READY)  ## time the simulator, the forecasters and micro tokens, into benchmarks/results
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.forecasters
	$(BIN)/python -m benchmarks.micro_speed

clean:  ## remove .venv, caches and build outputs; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

# make PYTHON=/path/to/python makes the environment with this one, anew if another one has made it. Else the first on PATH that can does.
WHO := 'import ensurepip, sys, venv; assert sys.version_info >= (3, 11); print(sys.base_prefix, sys.version.split()[0], sep=":")'
ifdef PYTHON
WANTED := $(shell "$(PYTHON)" -c $(WHO) 2>/dev/null)
ifeq ($(WANTED),)
$(error PYTHON=$(PYTHON): expected a Python >= 3.11 with the venv module, found none that starts)
endif
MADE_BY := $(shell $(BIN)/python -c $(WHO) 2>/dev/null)
ANEW := $(if $(filter-out $(WANTED),$(MADE_BY)),FORCE)
endif

FORCE:

$(BIN)/pip: $(ANEW)
	@for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	    if "$$python" -c $(WHO) >/dev/null 2>&1; then \
	        echo "$$python -m venv --clear $(VENV)"; exec "$$python" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "make: expected a Python >= 3.11 with the venv module on PATH, found none; name one with make PYTHON=..." >&2; exit 1

# torch goes first: with it installed, no other requirement can pull a different build.
$(READY): pyproject.toml constraints.txt $(ANEW) | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(READY_DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@
