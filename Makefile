# Every command of the project, and nothing else: `make` alone lists them. The tasks in tasks.py call these targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Any Python from 3.11 on will do; `make venv PYTHON=/path/to/python` chooses another one.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# More than four workers gain little and each one loads torch again. Tests of one module stay together unless one
# worker has nothing left to do, so that what they share is made once.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)
FUZZ_SECONDS ?= 600
SOURCES := src tests benchmarks docs tasks.py

# albumentations otherwise asks the network for a newer release at every import.
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help venv demo test test-all strangers coverage fuzz lint format types docs precommit licences build sbom constraints requirements clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Create .venv and install everything needed to run and develop
	@:

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python found. phytoscope needs Python 3.11 or newer: apt-get install python3 python3-venv" >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1). phytoscope needs Python 3.11 or newer; if you have one, name it: make $(or $(MAKECMDGOALS),venv) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot create virtual environments. On Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing phytoscope and its libraries into $(VENV). The first time this fetches several GB and takes some minutes."
	@$(BIN)/python -m pip install --upgrade pip
	@$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## Draw plants, train both tasks on them and write the reports
	$(BIN)/phytoscope demo

test: $(STAMP) ## Run the tests, all but the slow ones
	$(PYTEST) -m "not slow"

test-all: $(STAMP) ## Run every test, the slow ones too
	$(PYTEST)

strangers: $(STAMP) ## Run what a stranger meets first, slow tests too: README, notebooks, documentation, habits, wheel (tutorials: make test-all)
	$(PYTEST) -m slow -k "not tutorials and not schnellstart" tests/contract tests/e2e/test_readme.py tests/e2e/test_notebooks.py

coverage: $(STAMP) ## Run all tests but the slow ones and fail when less than 95 % of the lines are covered
	$(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=json:coverage.json
	@$(BIN)/python -c 'import json, sys; found = json.load(open("coverage.json"))["totals"]; \
		print("%.2f %% of the lines and %.2f %% of the branches" % (found["percent_statements_covered"], found["percent_branches_covered"])); \
		sys.exit(found["percent_statements_covered"] < 95)'

fuzz: $(STAMP) ## Feed the readers of packages and images with damaged input, FUZZ_SECONDS each (needs atheris, on Linux)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { \
		echo "atheris is not installed: $(BIN)/python -m pip install atheris (Linux only)" >&2; exit 2; }
	@for name in package image; do \
		mkdir -p fuzz/$$name/corpus; \
		$(BIN)/python tests/fuzz/fuzz_$$name.py -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=3000 -timeout=60 \
			-max_len=8192 -artifact_prefix=fuzz/$$name/ fuzz/$$name/corpus || exit 1; \
	done

lint: $(STAMP) ## Check style and formatting
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(STAMP) ## Repair style and formatting where that is safe
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(STAMP) ## Check the types of the package
	$(BIN)/mypy

docs: $(STAMP) ## Build the documentation into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html"

precommit: $(STAMP) ## Check what a commit must pass, on all files
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

licences: $(STAMP) ## Check that everything installed has a licence from the list in pyproject.toml
	$(BIN)/pip-licenses --summary

build: $(STAMP) ## Build the source archive and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

sbom: $(STAMP) ## List everything that is installed in dist/phytoscope.cdx.json, a CycloneDX bill of materials
	mkdir -p dist
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
		--output-file dist/phytoscope.cdx.json

constraints: $(STAMP) ## Resolve all extras anew and rewrite constraints.txt and the requirements files
	$(BIN)/invoke constraints

requirements: $(STAMP) ## Rewrite the requirements files from pyproject.toml and constraints.txt
	$(BIN)/invoke requirements

clean: ## Remove caches and build outputs; runs and .venv stay
	rm -rf build dist site htmlcov .coverage .coverage.* coverage.xml coverage.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
