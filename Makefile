# The commands of this product. Each target first makes what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup data base tagger train eval serve extract redact smoke check fmt test test-slow golden wheel clean

PROFILE     ?= mini
# The folder of the profiles; tests/smoke holds the same ones cut down to a minute or two.
RECIPES     ?= configs
ACCELERATOR ?= $(if $(shell command -v nvidia-smi),gpu,cpu)
# The pinned CPU wheels are for 3.11; 3.12 works wherever its wheels are.
PYTHON      ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(shell command -v $(p))))
SET         ?=
OVERRIDES    = $(foreach assignment,$(SET),--set $(assignment))

VENV := .venv
PY   := $(VENV)/bin/python
PINS := requirements/$(ACCELERATOR).txt requirements/dev.txt
READY := $(VENV)/ready-$(ACCELERATOR)

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  Options: PROFILE=mini|qwen2-1.5b  SET='a.b=c d=e'  ACCELERATOR=cpu|gpu"

$(READY): $(PINS) pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; set PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --no-deps $(foreach file,$(PINS),-r $(file))
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## Make the virtual environment with the pinned dependencies

data: $(READY) ## Build the training, validation and test examples
	$(PY) -m pii data --config $(RECIPES)/$(PROFILE)/data.yaml $(OVERRIDES)

base: $(READY) ## Make the embedded base model; run it again to go on
	$(PY) -m pii base $(OVERRIDES)

tagger: $(READY) ## Make the character tagger; run it again to go on
	$(PY) -m pii tagger $(OVERRIDES)

train: $(READY) ## Fine-tune, merge and write the model folder
	$(PY) -m pii train --config $(RECIPES)/$(PROFILE)/train.yaml $(OVERRIDES)

eval: $(READY) ## Measure what serving does; writes report.json and report.md
	$(PY) -m pii eval --config $(RECIPES)/$(PROFILE)/eval.yaml $(OVERRIDES)

serve: $(READY) ## Answer POST /extract and /redact
	$(PY) -m pii serve --config $(RECIPES)/$(PROFILE)/serve.yaml $(OVERRIDES)

extract: $(READY) ## Find entities in a file: make extract IN=notes.jsonl OUT=found.jsonl
	$(PY) -m pii extract $(IN) -o $(OUT) --config $(RECIPES)/$(PROFILE)/serve.yaml $(OVERRIDES)

redact: $(READY) ## Redact a file: make redact IN=notes.txt OUT=clean.txt
	$(PY) -m pii redact $(IN) -o $(OUT) --config $(RECIPES)/$(PROFILE)/serve.yaml $(OVERRIDES)

smoke: $(READY) ## The whole path in a minute or two, into data/smoke and runs/smoke
	$(MAKE) data train eval RECIPES=tests/smoke

fmt: $(READY) ## Format the code and mend what can be mended
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

check: $(READY) ## Format, lint, types, arrows between the rooms
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: $(READY) ## The quick tests
	$(PY) -m pytest -q

test-slow: $(READY) ## The tests that take longer: real training, vLLM, killed processes
	$(PY) -m pytest -q -m "slow and not gpu"

golden: $(READY) ## Rewrite the golden files; review the diff
	GOLDEN=rewrite $(PY) -m pytest -q -k golden

wheel: $(READY) ## Build the wheel into dist/
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## Remove outputs: data/, runs/, dist/ (not the environment)
	rm -rf data runs dist build
