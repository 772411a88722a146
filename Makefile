# make bench: measure the claims into reports/local/.   make test: the suite's own tests.
# make mutants: how many of 200 small changes to the kernels and verdicts the tests find (tests/mutants/).
# make gpu: check a GPU, measure on it for BUDGET and pack what came of it.   make gpu-bundle: what to carry to a
# machine without a package index (bench/gpu/README.md). All do their set-up on a fresh machine and nothing twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUDGET ?= 50m
BUNDLE := build/gpu-bundle
OPENED := $(BUNDLE)/open/.ready
ASSUME ?= torch,numpy,transformers

.PHONY: bench test slow quick lint mutants clean gpu gpu-bundle

bench: $(READY)
	$(BIN)/python -m pytest bench

quick: $(READY)
	$(BIN)/python -m pytest bench --effort=quick

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist worksteal -m "not slow"

slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist worksteal -m slow

gpu: $(if $(wildcard $(BUNDLE)/manifest.json),$(OPENED),$(READY))
	$(BIN)/python -m bench.gpu --budget=$(BUDGET)

gpu-bundle: $(READY)
	$(BIN)/python -m bench.gpu.bundle --assume=$(ASSUME) --into=$(BUNDLE)

lint: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

mutants: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[mutants]'
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 nice $(BIN)/python -m tests.mutants

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	touch $(READY)

# From what was carried over, without a package index; the rest is what the machine itself has.
$(OPENED): $(BUNDLE)/manifest.json pyproject.toml
	$(PYTHON) -m bench.gpu.parts $(BUNDLE) $(BUNDLE)/open
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(BIN)/python -m pip install --quiet --no-index --find-links=$(BUNDLE)/open/wheels "setuptools>=77"
	$(BIN)/python -m pip install --quiet --no-index --find-links=$(BUNDLE)/open/wheels --no-build-isolation -e .
	touch $(READY) $(OPENED)

clean:
	rm -rf $(VENV) build *.egg-info
