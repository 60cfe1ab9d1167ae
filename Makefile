# Each target sets itself up: Python 3.11 and pip are enough.
# Variables: PYTHON, PYTEST_ARGS; DEMO_SECONDS and DB reach the demo because make exports what it is given.

PYTHON ?= $(firstword $(shell command -v python3.11) python3)
BIN := .venv/bin
UV := $(firstword $(shell command -v uv) $(BIN)/uv)
STAMP := .venv/.stamp
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --all-extras pyproject.toml requirements/dev.in

.PHONY: help venv test lint format demo outage chaos bench bench-lock bench-engine lock upgrade clean
.DEFAULT_GOAL := help
# A half-made .venv must not count as made.
.DELETE_ON_ERROR:
# Workers are started by the hundred: each would compile all of Django, Celery and Celeriac.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make venv | test | lint | format | demo | outage | chaos | bench | bench-engine | lock | upgrade | clean"

venv: $(STAMP)

$(BIN)/python:
	command -v uv >/dev/null && uv venv --quiet --python $(PYTHON) .venv \
		|| { $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv; }

$(STAMP): requirements/dev.txt pyproject.toml | $(BIN)/python
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements/dev.txt
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps -e .
	@touch $@

test: $(STAMP)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy src/celeriac
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: $(STAMP)
	$(BIN)/python example/demo.py

outage: $(STAMP)
	$(BIN)/python example/outage.py

chaos: $(STAMP)
	$(BIN)/python -m tests.chaos

bench: $(STAMP)
	$(BIN)/python bench/run.py

bench-lock: $(STAMP)
	cd bench && ../$(BIN)/python environments.py

bench-engine: $(STAMP)
	$(BIN)/python bench/engine.py

lock: | $(BIN)/python
	$(LOCK) --output-file requirements/dev.txt

upgrade: | $(BIN)/python
	$(LOCK) --upgrade --output-file requirements/dev.txt

clean:
	rm -rf .venv .bench-venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
