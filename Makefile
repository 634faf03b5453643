# Everything needs Python 3.11 to 3.13 and nothing else. Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check format benchmark clean

demo: $(VENV)/installed ## Set everything up and run the main job on real images and models
	$(BIN)/evaljobs demo --out demo

test: $(VENV)/installed-test ## Set everything up and pass the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/installed-test ## Formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/installed-test ## Measure; results go to standard output
	$(BIN)/python benchmarks/verification.py

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else f'found Python {sys.version.split()[0]}, expected 3.11 to 3.13: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@
