# make bench: measure the claims into reports/local/.   make test: the suite's own tests.
# Both do all their set-up on a fresh machine and nothing twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bench test quick lint clean

bench: $(READY)
	$(BIN)/python -m pytest bench

quick: $(READY)
	$(BIN)/python -m pytest bench --effort=quick

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[lint]'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info
