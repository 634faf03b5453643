# Everything needs Python 3.11 to 3.13 and nothing else. Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# With EXTRAS=test,test-torch the tests that need PyTorch run too; by itself it is several gigabytes on most machines.
EXTRAS ?= test
# Tests wait for processes much of their time: three workers keep two cores busy. A worker takes a file at a time;
# WORKERS=0: all in one process.
WORKERS ?= 3
FUZZ ?= 10

# Tests start hundreds of processes: each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fuzz check lint types types-benchmarks format reference benchmark clean

demo: $(VENV)/installed ## Set everything up and run the main job on real images and models
	$(BIN)/evaljobs demo --out demo

test: $(VENV)/installed-test ## Set everything up and pass the tests
	$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder $(PYTEST_ARGS)

fuzz: $(VENV)/installed-test ## Property tests with examples drawn anew, FUZZ times
	for i in $$(seq $(FUZZ)); do $(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=fuzz $(PYTEST_ARGS) || exit 1; done

check: lint types types-benchmarks ## Formatting, lint and types; with -j2 types on two cores

lint: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/installed-test
	$(BIN)/mypy

# With a cache of its own: other settings, and it may run beside the other.
types-benchmarks: $(VENV)/installed-test
	$(BIN)/mypy --cache-dir .mypy_cache/benchmarks --no-warn-return-any --no-warn-unused-ignores --disable-error-code misc benchmarks

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(VENV)/installed-test ## Write the generated parts of the documentation
	$(BIN)/python docs/make_reference.py

benchmark: $(VENV)/installed-test ## Measure; results go to standard output
	$(BIN)/python benchmarks/verification.py

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache

# A virtual environment without pip (a bare Debian python3) must not be taken for one the next time.
$(VENV)/created:
	$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f'found Python {sys.version.split()[0]}, expected 3.11 to 3.13: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python makes no virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml
	$(PIP) -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) -e '.[$(EXTRAS)]'
	touch $@
