# Two commands: `make demo` and `make test`; both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test soak mutants bench clean

demo: $(STAMP)
	$(BIN)/detkit train --config projects/rcnn/quick.yaml
	@echo "detections: runs/quick/pictures.png"

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & $(BIN)/pytest -n 2 --dist worksteal; code=$$?; wait $$! && exit $$code

# The long forms of tests: minutes.
soak: $(STAMP)
	$(BIN)/pytest -m soak -n 2 --dist worksteal

# Breaks one rule after the other in a copy and shows that the tests see it: minutes.
mutants: $(STAMP)
	$(BIN)/python tests/reference/mutations.py

# Measures speed, memory and disk into docs/performance.md, on a machine that does nothing else.
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py --out runs/benchmarks --page docs/performance.md $(BENCH)

$(STAMP): setup.py setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip setuptools
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf build dist *.egg-info runs
