# Each target makes its own environment; a second run finds it ready.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1

.PHONY: table3 test figures check toy clean

table3: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce table3

test: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadscope tests
	$(BIN)/python -m pytest -n 2 --dist loadscope --nbval --nbval-sanitize-with tests/sanitize.cfg notebooks

figures: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce $$($(BIN)/python -m vrpo_theory.reproduce --list | cut -d ' ' -f 1) --out figures

check: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce $$($(BIN)/python -m vrpo_theory.reproduce --list | cut -d ' ' -f 1) --out figures --check

toy: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.training.toy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.package: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebooks,test,llm,adapters,datasets]'
	touch $@

clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache
