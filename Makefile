# The course's commands. Each sets up what it needs: a fresh machine has Python 3.11+ and make.
#
#   make lab         open the course in JupyterLab
#   make demo        train a first writer and read what it writes (under 3 minutes)
#   make test        every test, the notebooks' outputs included
#   make test-quick  the fast tests only (under 2 minutes)
#   make notebooks   make the student edition from solutions/ and execute both
#
# PYTHON=python3.12 make lab uses another Python; make notebooks CHAPTERS=02 only one chapter.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHAPTERS ?=
# JupyterLab refuses to run as root unless told so, as in a container; add your own options.
LAB_OPTIONS ?= $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab demo test test-quick test-notebooks notebooks lint clean

help:
	@sed -n '3,9p' Makefile | sed 's/^# \{0,1\}//'

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it and run make again."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "venv failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=23.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	@touch $(READY)

lab: $(READY)
	$(BIN)/jupyter lab $(LAB_OPTIONS) notebooks/00_start_here.ipynb

demo: $(READY)
	$(BIN)/minidistill demo

# Small models are fastest on one thread, and two busy threads on a shared core wait for each other.
test test-quick test-notebooks notebooks: export OMP_NUM_THREADS ?= 1

test: $(READY) lint
	$(BIN)/python -m minidistill.course.authoring check
	$(BIN)/python -m minidistill.course.audit solutions notebooks
	$(BIN)/python -m pytest tests
	$(MAKE) test-notebooks

test-notebooks: $(READY)
	$(BIN)/python -m pytest --nbval --nbval-cell-timeout=300 solutions notebooks

test-quick: $(READY) lint
	$(BIN)/python -m minidistill.course.authoring check
	$(BIN)/python -m pytest -x -m "not slow" tests

notebooks: $(READY)
	$(BIN)/python -m minidistill.course.authoring build $(CHAPTERS)

lint: $(READY)
	$(BIN)/ruff check minidistill tests benchmarks solutions notebooks
	$(BIN)/ruff format --check minidistill tests benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
