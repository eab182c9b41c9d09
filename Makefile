# make demo | test | lint | setup       in a virtual environment of the checkout, .venv
VENV ?= .venv
PYTHON ?= python3
EXTRAS ?= test,dev
# One single-threaded test process per core: tests are small, and threads would only wait for each other.
WORKERS ?= auto
READY = $(VENV)/.mmaffinity-$(shell cat requirements.txt pyproject.toml | cksum | cut -d ' ' -f 1)

.PHONY: demo test lint setup

setup: $(READY)

# requirements.txt contains the tested versions.
$(READY):
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -r requirements.txt -e '.[$(EXTRAS)]'
	$(VENV)/bin/mmaffinity check-env --quiet
	touch $@

demo: setup
	$(VENV)/bin/mmaffinity demo

test: setup
	$(VENV)/bin/python -m pytest -n $(WORKERS) --maxprocesses=8 --dist=worksteal $(if $(filter 1,$(COVERAGE)),--cov)

lint: setup
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy
