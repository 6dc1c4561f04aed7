# The commands of this project. `make quickstart` and `make test` are the two that set everything up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install quickstart test test-slow fuzz lint format types check docs clean

help: ## show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed ## make .venv and install speechadapt with everything the quickstart and the tests need

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

quickstart: install ## adapt real Whisper tiny.en to one simulated accent and print the verdict (under 15 minutes on two cores)
	$(BIN)/speechadapt run quickstart --out runs/quickstart --resume

# one thread per worker: workers that wait for each other's threads are slower than one worker alone
test: install ## the default test suite, one worker per core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-slow: install ## everything that can run here, slow tests too
	FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest -m "not gpu and not network"

fuzz: install ## 2,000 mutated lists for each corpus format, none of whose lines may be lost or break the script
	FUZZ_EXAMPLES=2000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m fuzz tests/data_prep

lint: install ## ruff, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## ruff, changing files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install ## mypy, strict
	$(BIN)/mypy

check: lint types test ## all three

docs: install ## write docs/cli.md from the commands' help, and the table of recipes/README.md
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_recipes.py

clean: ## remove what was built, keep runs and data
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
