# `make demo`, `make test` and `make check` are all there is to know; `make torture` takes an hour. SERVE=0 stops the demo after its summary; PORT=8501 moves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SERVE  ?= 1
PORT   ?= 8501

.PHONY: demo test torture check docs lint clean help

help:            ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

demo: $(VENV)/.ready   ## install, run the embedded demo, serve the dashboard
	$(BIN)/retrieval-lens demo --port $(PORT) $(if $(filter 0,$(SERVE)),--no-serve,)

test: $(VENV)/.ready-test   ## the whole test suite, real-browser tests where a browser is found
	$(BIN)/python -m pytest

torture: $(VENV)/.ready-test   ## kills, flipped bits, full disks and many visitors: the table of docs/reliability.md
	$(BIN)/python -m tests.torture

docs: $(VENV)/.ready-test   ## write the generated parts of README.md and docs/ again
	$(BIN)/python -m docs.generate

check: $(VENV)/.ready-test   ## style and types: ruff and mypy
	$(BIN)/ruff check core dashboard docs tests
	$(BIN)/ruff format --check core dashboard docs tests
	$(BIN)/mypy

lint: check      ## the same

clean:           ## remove the environment; the cache stays
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else f"Retrieval Lens needs Python 3.11 or newer; got {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e '.[test,mteb,scale]'
	@touch $@ $(VENV)/.ready
