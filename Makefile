PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install lock check fix test test-clients demo bench chaos fuzz openapi clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed.stamp ## Create .venv with everything that is locked

$(VENV)/installed.stamp: pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: ## Resolve the dependencies again and write them down with their hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements/dev.txt

check: install ## Format, lint, types, layers and the quick tests: under 30 s
	$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n 2 tests/unit tests/meta

fix: install ## Format, and mend what ruff can mend
	$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

test: install ## Everything that must pass: unit, integration and end to end, with an embedded server
	$(BIN)/pytest -q -n 2 --dist worksteal $(ARGS)

test-clients: install ## Svix's JavaScript and Go clients against a real relay; needs node or go
	@$(BIN)/python -m tests.clients $(ARGS)

demo: install ## Run the whole relay on this machine and watch callbacks arrive
	@$(BIN)/relay demo $(ARGS)

bench: install ## Print the figures of docs/performance.md
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: install ## The long fault suite: make chaos ARGS="--seed 7"
	@$(BIN)/python -m tests.fault $(ARGS)

fuzz: install ## Ten thousand generated calls of the API: make fuzz ARGS="--examples 300"
	$(BIN)/pytest -q -n 0 -s --examples 150 $(ARGS) tests/integration/api/test_schemathesis.py

openapi: install ## Record the examples of the API, and docs/openapi.json, anew
	$(BIN)/pytest -q -n 0 --write tests/integration/api/test_examples.py -k the_examples_are
	$(BIN)/pytest -q -n 0 --write tests/integration/api/test_golden.py

clean: ## Remove what the other commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist data
