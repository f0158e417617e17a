# Each target makes its own environment; a second run finds it ready.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1

TESTS := $(BIN)/python -m pytest -n 2 --dist loadscope
SUITE := $(TESTS) --dist worksteal -m "not soak" tests
NOTEBOOKS := $(TESTS) --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg notebooks
# Kernels of other processors and of two threads, as environment variables choose them: the same numbers, to rounding.
KERNELS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=2
# The tests in which neural models meet fixed numbers, each other's or their own; without what kernels cannot move.
NUMERIC := tests/core/test_rounding.py tests/contracts/test_models.py tests/models/test_llada_golden.py \
	tests/models/test_decoders_golden.py::test_logits tests/models/test_decoders_golden.py::test_two_copies \
	tests/models/test_llada_predictor.py tests/models/test_llada_options.py tests/models/test_masked_lm.py \
	tests/models/test_llada_loading.py::test_attention_implementations_agree \
	tests/models/test_adapter.py::test_numbers_are_those_of_the_merged_weights \
	"tests/models/test_toy_llada.py::test_training_begins_as_the_card_says[supervised]" \
	"tests/exhibits/test_stored.py::test_a_part_recomputed_is_the_stored_one[profile-toy LLaDA-8]" \
	tests/core/test_preference.py tests/exhibits/test_comparison.py \
	tests/full_scale/test_half_precision.py::test_deviations_are_those_of_two_models \
	-k "not tabular and not markov and not shock and not refused and not refuses and not fingerprint \
	and not device_map and not names and not mask_token and not checkpointing and not generators and not protocol \
	and not its_seed and not allocation and not longest and not in_the_folder and not understood and not dropout and not proxy"

UNTRAINED := from vrpo_theory import EXHIBITS; print(*(e.name for e in EXHIBITS.members() if not hasattr(e.options, 'runs')))

.PHONY: table3 test soak docs reliability portable portable-quick figures check toy clean

table3: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce table3

test: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(SUITE)
	$(NOTEBOOKS)
	$(MAKE) portable-quick

soak: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[evaluation]'
	$(TESTS) --dist worksteal -m soak tests

# What is known of the tests themselves: kills, slips, mutants (an hour), written into tests/reliability/RESULTS.md.
RUN := $(BIN)/python -m tests.reliability
KEPT := tests/reliability/results
reliability: $(VENV)/.test
	folder=$$(mktemp -d) && $(RUN).kills $$folder 50 16 > $(KEPT)/kills.json
	VRPO_TRIED=$(KEPT)/tried.json $(BIN)/python -m pytest tests/reliability
	$(RUN).slips $(KEPT)/slips.json
	$(RUN).ledger $(KEPT)/ledger.json
	$(RUN).mutation $(KEPT)/mutation.json
	$(RUN).report

portable-quick: $(VENV)/.test
	printf '%s\n' $(KERNELS) | xargs -P 2 -I{} sh -c 'env {} $(BIN)/python -m pytest $(NUMERIC) && echo "{}: passed"'

portable: $(VENV)/.test
	for kernels in $(KERNELS); do echo "$$kernels"; (export $$kernels; $(SUITE) && $(NOTEBOOKS)) || exit 1; done
	ATEN_CPU_CAPABILITY=default $(MAKE) check

figures: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce $$($(BIN)/python -m vrpo_theory.reproduce --list | cut -d ' ' -f 1) --out figures

# Without what is trained: thousands of steps make another machine's last bits another model.
check: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.reproduce $$($(BIN)/python -c "$(UNTRAINED)") --out figures --check

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

toy: $(VENV)/.package
	$(BIN)/python -m vrpo_theory.training.toy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.package: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebooks,test,llm,training,adapters,datasets]'
	$(BIN)/python -m ipykernel install --sys-prefix --name vrpo_theory --display-name vrpo_theory
	touch $@

$(VENV)/.docs: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[notebooks,docs]'
	touch $@

clean:
	rm -rf $(VENV) results .pytest_cache .mypy_cache .ruff_cache
