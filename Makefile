# Each target sets up what it needs: a stamp in .venv says which dependencies are there, so a second run is quick.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
SETUP_FILES := pyproject.toml generated/python/pyproject.toml kata_grpc/__init__.py
PYTEST_ARGS ?=
PEERS_ARGS ?=

# A name on PATH may be a shim of an absent version, and Debian's python3 may lack venv: only running it tells.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python3.14; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "kata-grpc needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(SETUP_FILES) | $(BIN)/python
	@echo "Installing the server into $(VENV)"
	@$(PIP) --editable generated/python --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "Installing the development tools into $(VENV)"
	@$(PIP) --editable generated/python --editable '.[dev]'
	@touch $@

## --- using it

.PHONY: run
run: $(VENV)/run.stamp ## Start the server (embedded PostgreSQL unless DATABASE_URL is set)
	@exec $(BIN)/kata-grpc serve

.PHONY: demo
demo: $(VENV)/run.stamp ## Import a real conversation and show what the service does with it
	@$(BIN)/python -m kata_grpc.cli.demo

# Without its fork support gRPC does not remark on each process that is started while a channel is open.
.PHONY: bench
bench: $(VENV)/run.stamp ## Measure the figures of the service on this machine
	@GRPC_ENABLE_FORK_SUPPORT=0 $(BIN)/kata-grpc bench

# The peers' dependencies would bind the server's: they have an environment of their own.
PEERS := .venv-peers
$(PEERS)/stamp: bench/peers/requirements.txt generated/python/pyproject.toml
	@test -n "$(PYTHON)" || { echo "kata-grpc needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Installing the peers into $(PEERS)"
	@$(PYTHON) -m venv $(PEERS)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(PEERS)/bin/python -m pip install --quiet --requirement $< --editable generated/python
	@touch $@

.PHONY: bench-peers
bench-peers: $(VENV)/run.stamp $(PEERS)/stamp ## Measure libraries for the same purpose beside the service (PEERS_ARGS passes options on)
	@$(BIN)/python -m bench.peers $(PEERS_ARGS)

## --- checking it

# Much of the tests' time is waiting: two files at a time, but those that measure what faults leave, which want quiet.
TEST_JOBS ?= 2

.PHONY: test
test: deps $(VENV)/dev.stamp ## Run the tests on a real PostgreSQL (PYTEST_ARGS in their place: files, options)
ifdef PYTEST_ARGS
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	@$(BIN)/python -m pytest --numprocesses=$(TEST_JOBS) --dist=loadfile --ignore=tests/faults
	@$(BIN)/python -m pytest tests/faults
endif

.PHONY: torture
torture: $(VENV)/dev.stamp ## Run the long forms of the durability, concurrency and fuzz tests
	@$(BIN)/python -m pytest -m torture $(PYTEST_ARGS)

.PHONY: check
check: lint types layers verify-protos breaking test ## Everything that CI checks, fastest first

.PHONY: lint
lint: $(VENV)/dev.stamp ## Check style of Python, protos and Dockerfile
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/buf lint protos
	@$(BIN)/hadolint Dockerfile

.PHONY: format
format: $(VENV)/dev.stamp ## Rewrite Python files and protos in house style
	@$(BIN)/ruff check --quiet --fix || true
	@$(BIN)/ruff format --quiet
	@$(BIN)/buf format --write protos

.PHONY: types
types: $(VENV)/dev.stamp ## Check types (mypy, strict)
	@$(BIN)/mypy

.PHONY: layers
layers: $(VENV)/dev.stamp ## Check who may import whom
	@$(BIN)/lint-imports --no-logo

## --- the contract

.PHONY: protos
protos: $(VENV)/dev.stamp ## Generate stubs, descriptor set and service config from protos/
	@$(BIN)/python -m tools.generate

.PHONY: verify-protos
verify-protos: $(VENV)/dev.stamp ## Generate into a temporary folder and compare with generated/
	@$(BIN)/python -m tools.generate --verify

.PHONY: breaking
breaking: $(VENV)/dev.stamp ## Compare protos/ with their last published state (BREAKING_AGAINST=<git ref> chooses another)
	@$(BIN)/python -m tools.breaking $(BREAKING_AGAINST)

## --- shipping it

.PHONY: build
build: $(VENV)/dev.stamp ## Build both wheels into dist/
	@rm -rf dist
	@$(BIN)/python -m build --wheel --outdir dist generated/python
	@$(BIN)/python -m build --wheel --outdir dist .

.PHONY: install
install: ## Install the server into the environment PREFIX, which needs no checkout afterwards (the image is built so)
	@test -n "$(PREFIX)" || { echo "Say where: make install PREFIX=/opt/kata" >&2; exit 1; }
	@$(PYTHON) -m venv $(PREFIX)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(PREFIX)/bin/python -m pip install --quiet --no-cache-dir ./generated/python .

.PHONY: deps
deps: ## Install what tests and bench use from the system, as root on Debian: pgbouncer, PostgreSQL, h2load
	@bash tools/system_deps.sh

.PHONY: clean
clean: ## Remove the environment, caches and built files (never data)
	@rm -rf $(VENV) $(PEERS) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache generated/typescript/node_modules tools/typescript/node_modules tests/clients/node/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
