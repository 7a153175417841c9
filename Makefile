# make demo | space | ask | rehearse | study-demo | test | test-all | lint | clean. A machine needs git, make and Python 3.11 or 3.12; all else goes into .venv.
SHELL := /bin/bash
VENV := .venv/bin
# The first Python that is 3.11 or 3.12; `make PYTHON=/path/to/python3.12 demo` chooses another.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo $$p && break; done)
EXTRAS := space
TEST_EXTRAS := $(EXTRAS),benchmarks,export,signing,dev
STEP := $(VENV)/python -m training
# one thread a process, and half as many more processes than cores: many tests wait for a server or a browser
WORKERS = $(shell $(PYTHON) -c 'import os; print(max(2, os.cpu_count() * 3 // 2))')
TEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(VENV)/python -m pytest
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_PROGRESS_BARS := 1

.PHONY: demo space ask rehearse study-demo test test-all lint clean

demo: .venv/installed  ## prepare, train, score, bundle: a small pretrained base and the embedded sample
	@$(STEP) prepare demo
	@$(STEP) train demo
	@$(STEP) score demo --limit 40 --no-table
	@$(STEP) bundle demo

space: demo  ## the chat in a browser, with the demo adapter
	@$(VENV)/python space/app.py --adapter outputs/demo/runs/demo/bundle --sources training/data/sample.csv

ask: demo  ## chat in the terminal with the demo adapter
	@$(VENV)/python scripts/ask.py outputs/demo/runs/demo/bundle --sources training/data/sample.csv

rehearse: demo  ## a whole release of the demo on a local Hub, its Space included
	@$(VENV)/python scripts/rehearse.py

test: .venv/for-tests  ## the test suite, without the network
	@$(TEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: test  ## the same and all the rest: publishing to a Hub that fails in every way, soaks, repeated runs
	@$(TEST) -n $(WORKERS) -m faults
	@$(TEST) -m slow

study-demo: .venv/installed  ## three configurations on the embedded sample, and the choice between them
	@$(STEP) prepare demo
	@$(STEP) study demo --set name=study --set epochs=1.5

lint: .venv/for-tests  ## ruff, and types by mypy
	@$(VENV)/ruff check . && $(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/mypy --explicit-package-bases space

clean:
	rm -rf .venv outputs

.venv/installed: pyproject.toml
	$(call install,$(EXTRAS))

.venv/for-tests: pyproject.toml
	$(call install,$(TEST_EXTRAS))
	@touch .venv/installed

# pip compiles on one core, compileall on all
define install
@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; install one, or: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
@echo "Installing the pinned stack into .venv (a few minutes, once)"
@$(PYTHON) -m venv .venv
@$(VENV)/pip install --quiet --no-compile --disable-pip-version-check --editable ".[$(1)]"
@$(VENV)/python -m compileall -qq -j 0 .venv/lib || true
@touch $@
endef
