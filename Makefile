# Everything happens in .venv; delete it to begin afresh.

PYTHON ?= python3
TORCH  ?= torch==2.13.0

BIN  := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help demo test torture lint format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: $(READY)  ## build a corpus, train on it for a minute, evaluate, sample
	$(BIN)/charrnn corpus build python-reference
	$(BIN)/charrnn train corpora/python-reference.txt --minutes 1 --name demo --overwrite
	$(BIN)/charrnn evaluate demo
	$(BIN)/charrnn sample demo --temperature 0.8 --seed 1

test: $(READY)  ## lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

# Where there is no wheel of atheris, the test that needs it is skipped.
torture: $(READY)  ## the long tests, and all others with new random examples
	-$(BIN)/python -m pip install --quiet --only-binary atheris --editable ".[dev,torture]"
	$(BIN)/pytest -m '' --hypothesis-profile default -rs

lint: $(READY)  ## lint and types alone
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
