# Two targets matter: `make book` and `make test`. `make help` lists the rest.

PYTHON ?= python3
JOBS ?= 2
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

# One thread a process: results do not depend on the machine's core count, and two processes do not fight over cores.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install data book test check serve lab bench notebooks clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1	/' | expand -t 20

install: $(STAMPS)/package  ## make .venv with everything in requirements.txt and this package

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/requirements: requirements.txt $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(STAMPS)/package: pyproject.toml $(STAMPS)/requirements
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

assets/vendor/.stamp: package.json package-lock.json tools/fetch_site_scripts.py $(STAMPS)/requirements
	$(BIN)/python tools/fetch_site_scripts.py

data: $(STAMPS)/data  ## fetch the language model (93 MB), the Bible (3 MB) and Moby-Dick (1 MB) that some pages read

# After the site's scripts, which bring npm where there is none.
$(STAMPS)/data: src/heldout/data/smollm2.py src/heldout/data/bible.py src/heldout/data/moby_dick.py $(STAMPS)/package assets/vendor/.stamp
	$(BIN)/heldout data fetch smollm2
	$(BIN)/heldout data fetch bible
	$(BIN)/heldout data fetch moby-dick
	@touch $@

book: $(STAMPS)/package assets/vendor/.stamp $(STAMPS)/data  ## execute every page and build the site at _build/html/index.html
	$(BIN)/python tools/build_book.py --jobs $(JOBS)

$(STAMPS)/browser: tools/find_browser.py $(STAMPS)/requirements
	$(BIN)/python tools/find_browser.py --install
	@touch $@

test: $(STAMPS)/package assets/vendor/.stamp $(STAMPS)/data $(STAMPS)/browser  ## build the book, then run all tests and every notebook
	$(BIN)/python tools/build_book.py --jobs $(JOBS)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=300 tests chapters

check: $(STAMPS)/package  ## style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/python -m pytest -q tests/test_architecture.py

serve:  ## serve the built site on this machine only
	@test -f _build/html/index.html || { echo "no site yet: run make book first"; exit 1; }
	@echo "http://127.0.0.1:$(PORT)/index.html  (stop with Ctrl-C)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(STAMPS)/package  ## open the chapters as notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=. chapters

bench: $(STAMPS)/package  ## time our code against plain loops, in one run
	$(BIN)/python -m benchmarks --jobs $(JOBS)

notebooks: $(STAMPS)/package  ## strip outputs and put the Colab cell first in every notebook
	$(BIN)/python tools/notebooks.py --write chapters

clean:  ## delete what was built; the virtual environment stays
	rm -rf _build node_modules assets/vendor .pytest_cache .mypy_cache .ruff_cache
