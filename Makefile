# Everything runs in .venv, which make creates; nothing is installed for the user or the system
# except missing system libraries, and those only where apt may be used without a password.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
OUTPUT ?= output
DATA ?= ../shared/data
RUN ?= training-runs/builtin
TESTS ?=
BENCH ?=
PROJECT := pyproject.toml hatch_build.py napari.yaml

.PHONY: help demo test bench docs lint train-builtin clean

help:
	@echo "make demo           segment the bundled stack; labels, table and screenshot go to $(OUTPUT)/"
	@echo "make test           run the tests                  (TESTS='tests/flows -k name' for some)"
	@echo "make bench          time every step, beside Cellpose and u-Segment3D   (BENCH='--only dynamics')"
	@echo "make docs           build the documentation into site/"
	@echo "make lint           ruff, mypy and the plugin manifest"
	@echo "make train-builtin  train the built-in network            (DATA=... RUN=... to move it)"
	@echo "make clean          remove what was built, but not $(VENV)"

demo: $(VENV)/.ready $(VENV)/.window
	$(VENV)/bin/napari-cellseg demo -o $(OUTPUT)
	scripts/with_display.sh $(PY) scripts/demo_window.py --output $(OUTPUT)/window.png

test: $(VENV)/.ready $(VENV)/.window
	scripts/with_display.sh $(PY) scripts/run_tests.py $(TESTS)

bench: $(VENV)/.ready $(VENV)/.window
	scripts/peers.sh $(PY) $(VENV)/peers
	scripts/with_display.sh $(PY) -m benchmarks $(BENCH)

docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
	@echo "the documentation is in site/index.html"

lint: $(VENV)/.ready $(VENV)/.window
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	scripts/with_display.sh $(VENV)/bin/npe2 validate napari-cellseg --imports

train-builtin: $(VENV)/.ready
	$(PY) -m napari_cellseg.training --data $(DATA) --run $(RUN)

clean:
	rm -rf $(OUTPUT) site dist build benchmark-results .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Stamps: a step runs again only when a file that it depends on has changed.
$(VENV)/.ready: $(PROJECT) scripts/environment.sh
	scripts/environment.sh $(PYTHON) $(VENV) all,test
	@touch $@

$(VENV)/.ready-docs: $(PROJECT) scripts/environment.sh
	scripts/environment.sh $(PYTHON) $(VENV) docs
	@touch $@

$(VENV)/.window: scripts/system_libraries.sh | $(VENV)/.ready
	scripts/system_libraries.sh window
	@touch $@
