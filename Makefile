# `make demo` and `make test` work from a fresh clone: each sets up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Of the tests: with one thread each they leave each other alone.
PROCESSES ?= 2

.PHONY: setup demo test test-slow lint docs web bench constraints clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/hafloc demo demo-city

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal
	@$(BIN)/python tests/support/browser.py

test-slow: setup
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -m "slow or hypothesis"

# The site, in the folder site/; the reference pages are written anew from the code first.
docs: setup
	$(BIN)/python docs/site/write_reference.py
	$(BIN)/python docs/site/build_site.py site

# The pages in src/hafloc/serve/page and src/hafloc/show/page, from web/; needs Node 20 or newer.
web:
	cd web && npm ci && npm run lint && npm run build

bench: setup
	$(BIN)/python benchmarks/speed.py

# Newest versions that fit pyproject.toml, in a fresh environment; then run `make test`.
constraints:
	rm -rf $(VENV)-constraints
	$(PYTHON) -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(VENV)-constraints/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' \
		> constraints.txt.part
	mv constraints.txt.part constraints.txt
	rm -rf $(VENV)-constraints

clean:
	rm -rf $(VENV) site demo-city .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
