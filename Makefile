# make demo    from nothing to a running recommender
# make test    the whole test suite
# make help    everything else

PYTHON ?= python3
PORT   ?= 8000
# Which torch, and from where: see "Which torch" in README.md.
TORCH       ?=
TORCH_INDEX ?=

TORCH_VERSION := 2.13.0
VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO  := demo
SHOP  := $(DEMO)/shop

.DELETE_ON_ERROR:
.PHONY: help demo free-port test coverage format lint types imports docs lock audit ci clean

help:
	@echo "make demo      sample data, training, export, and a service on 127.0.0.1:$(PORT)"
	@echo "make test      the whole test suite"
	@echo "make coverage  the same, and how much of the service and the contract it runs"
	@echo "make lint      style, without changing anything (make format changes it)"
	@echo "make types     mypy"
	@echo "make imports   which package may import which"
	@echo "make docs      the tables of settings and metrics in docs/operations.md"
	@echo "make lock      pin every dependency of the images, with hashes (in locks/)"
	@echo "make audit     known vulnerabilities of what is pinned"
	@echo "make ci        all of these but the demo"
	@echo "make clean     remove the environment and the demo"

demo: free-port $(VENV)/.run $(SHOP)/items.csv
	@$(BIN)/streamrec train --interactions $(SHOP)/interactions.csv --items $(SHOP)/items.csv \
		--run $(DEMO)/run --config configs/demo.toml
	@$(BIN)/streamrec export $(DEMO)/run --bundle $(DEMO)/bundle
	@cksum < $(SHOP)/interactions.csv | cmp -s - $(DEMO)/histories.loaded || \
		$(BIN)/streamrec load-histories --interactions $(SHOP)/interactions.csv --redis-folder $(DEMO)/redis
	@cksum < $(SHOP)/interactions.csv > $(DEMO)/histories.loaded
	@sed 's/:8000/:$(PORT)/' docs/demo.txt
	@STREAMREC_PAGE_USERS=user-0001,user-0002,user-0003 \
		exec $(BIN)/streamrec serve --bundle $(DEMO)/bundle --redis-folder $(DEMO)/redis --port $(PORT)

# What takes minutes should not end with a port that is taken.
free-port:
	@$(PYTHON) -c ''
	@[ "$(PORT)" -gt 0 ] 2>/dev/null && [ "$(PORT)" -lt 65536 ] || { \
		echo "PORT=$(PORT) is no port; give a number from 1 to 65535: make demo PORT=8001" >&2; exit 1; }
	@$(PYTHON) -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null || { \
		echo "nothing can listen on 127.0.0.1:$(PORT), most likely because something does already;" \
			"choose another port: make demo PORT=8001" >&2; exit 1; }

$(SHOP)/items.csv: | $(VENV)/.run
	@$(BIN)/streamrec sample-data $(SHOP)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

ci: lint types imports test

docs: $(VENV)/.dev
	$(BIN)/python scripts/reference.py

lock: $(VENV)/.dev
	@$(PIP) uv
	@scripts/lock

audit: $(VENV)/.dev
	@$(PIP) pip-audit
	@for lock in build serving-cpu serving-gpu training; do \
		$(BIN)/pip-audit --strict --require-hashes --disable-pip -r locks/$$lock.txt && continue; \
		echo "locks/$$lock.txt: vulnerable, or not audited at all because the advisory database of PyPI" \
			"cannot be asked; the lines above say which" >&2; exit 1; done

clean:
	rm -rf $(VENV) $(DEMO)

# The environment: torch, then what the demo needs, then what developing needs.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: | $(VENV)/bin/python
	@echo "installing torch"
	@if [ -n "$(TORCH)" ]; then $(PIP) $(TORCH_INDEX) "$(TORCH)"; \
	elif nvidia-smi >/dev/null 2>&1; then $(PIP) $(TORCH_INDEX) "torch==$(TORCH_VERSION)"; \
	else $(PIP) $(TORCH_INDEX) "torch==$(TORCH_VERSION)+cpu" 2>/dev/null \
		|| $(PIP) $(TORCH_INDEX) "torch==$(TORCH_VERSION)"; fi
	@touch $@

$(VENV)/.run: pyproject.toml $(VENV)/.torch
	@echo "installing what training and serving need"
	@$(PIP) --editable ".[service,export,cpu]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	@echo "installing what tests and checks need"
	@$(PIP) --editable ".[dev]"
	@touch $@
