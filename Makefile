# make demo | test | lint | setup    see docs/install.md for the variables
VENV ?= .venv
EXTRAS ?=
MMCV_WHEEL ?=
COVERAGE ?=
# One test process per core, of one thread each: tests are small, and threads would only wait for each other.
WORKERS ?= auto

# The first Python that really runs and is one of those supported; an environment that is there keeps its own.
SUPPORTED = import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in "$(realpath $(VENV)/bin/python)" python3 python3.12 python3.11 python3.10; do \
	if "$$p" -c '$(SUPPORTED)' >/dev/null 2>&1; then echo "$$p"; break; fi; done)
SETUP = "$(PYTHON)" tools/setup_env.py --venv "$(VENV)" --mmcv-wheel "$(MMCV_WHEEL)"

.PHONY: demo test lint setup python

demo: python
	@$(SETUP) --extras "$(EXTRAS)"
	"$(VENV)/bin/python" tools/demo.py

test: python
	@$(SETUP) --extras "$(EXTRAS),test"
	"$(VENV)/bin/python" -m pytest -n $(WORKERS) --maxprocesses=8 --dist=worksteal $(if $(filter 1,$(COVERAGE)),--cov)

lint: python
	@$(SETUP) --extras "$(EXTRAS),dev"
	"$(VENV)/bin/python" -m ruff check .
	"$(VENV)/bin/python" -m mypy

setup: python
	@$(SETUP) --extras "$(EXTRAS)"

python:
	@"$(PYTHON)" -c '' >/dev/null 2>&1 || { echo 'setup: no Python 3.10 to 3.12 found; run: apt-get install' \
		'python3 python3-venv python3-dev (or name one:' \
		'make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11)' >&2; exit 1; }
