# Two commands: `make demo` and `make test`; both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed_docs

.PHONY: demo test docs docs-test dist soak mutants bench clean

demo: $(STAMP)
	$(BIN)/detkit train --config projects/rcnn/quick.yaml
	@$(BIN)/python examples/after_demo.py runs/quick

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & $(BIN)/pytest -n 2 --dist worksteal; code=$$?; wait $$! && exit $$code

# The site in build/docs; a warning or a broken link ends it.
docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs
	$(BIN)/python docs/extension/links.py build/docs

# The site, the tests of its pages, and every notebook from its first cell to its last: minutes.
docs-test: docs
	$(BIN)/pytest -q tests/docs -m "notebook or not notebook"

# The wheels, checked.
dist: $(STAMP)
	$(BIN)/pip install --quiet --editable ".[dist]"
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --wheel --outdir dist packages/blood_cells
	$(BIN)/twine check --strict dist/*

# The long forms of tests: minutes.
soak: $(STAMP)
	$(BIN)/pytest -m soak -n 2 --dist worksteal

# Breaks one rule after the other in a copy and shows that the tests see it: minutes.
mutants: $(STAMP)
	$(BIN)/python tests/reference/mutations.py

# Measures speed, memory and disk into docs/performance.md, on a machine that does nothing else.
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py --out runs/benchmarks --page docs/performance.md $(BENCH)

$(STAMP): setup.py setup.cfg pyproject.toml packages/blood_cells/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip setuptools
	$(BIN)/pip install --quiet --editable '.[dev]' --editable packages/blood_cells
	touch $(STAMP)

$(DOCS_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $(DOCS_STAMP)

clean:
	rm -rf build dist *.egg-info runs docs/generated
