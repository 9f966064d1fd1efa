# `make up` runs Winrate on this machine, `make test` runs all tests. Both set up what they need by themselves.

VENV ?= .venv
PY := $(VENV)/bin/python
PYTHON ?=
PIP_AUDIT = 2.10.1

.PHONY: help up test test-312 try-containers faults soak attacks audit lint venv install install-dev

help:
	@echo "make up         run Winrate here (PORT=8123 make up: on another port)"
	@echo "make test       run all tests, on SQLite and on PostgreSQL (TEST=path: only those; PROCESSES=4: in so many at a time)"
	@echo "make test-312   run the tests of pages, votes and ranking on Python 3.12, where torch is not installed"
	@echo "make try-containers  do in a folder what Dockerfile and Compose file say, without containers (needs PostgreSQL, Redis)"
	@echo "make faults     do the faults of tests/faults at full size (about forty minutes) and write their table"
	@echo "make soak       let everything run at a steady pace for MINUTES (20) and write what grew (benchmarks/results/soak.md)"
	@echo "make attacks    try each attack of tests/security 1,000 times and say how it went"
	@echo "make audit      check that everything is installed as pinned, and ask for published advisories on it (needs network)"
	@echo "make lint       check style and types"
	@echo "make venv       only make the virtual environment in $(VENV)"

up: install
	@exec $(PY) manage.py up $(UP)

# One process more than there are cores, as tests of faults and of programs that start wait for most of their time; four at
# most: each may hold torch, a browser and servers (about 2 GiB; PROCESSES=2 where memory is short). A few tests need one.
PROCESSES ?= $(if $(TEST),0,$(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))))
SPREAD = -n $(PROCESSES) --maxprocesses 4

# Tests start dozens of programs of ours, each of which would be compiled anew where bytecode is not kept.
test: export PYTHONDONTWRITEBYTECODE =
test: install-dev
	$(PY) -m pytest $(SPREAD) --outcomes=.pytest_cache/outcomes-sqlite.json $(TEST)
	$(PY) -m pytest $(SPREAD) --postgres --outcomes=.pytest_cache/outcomes-postgres.json $(TEST)

# A web host's environment: no torch, so that whatever needs it without saying so fails here.
PYTHON312 ?= python3.12
test-312: export PYTHONDONTWRITEBYTECODE =
test-312:
	@$(PYTHON312) -c '' || { echo "No Python 3.12; name one with: make PYTHON312=/path/to/python3.12 test-312" >&2; exit 1; }
	@[ -x .venv-312/bin/python ] || $(PYTHON312) -m venv .venv-312
	.venv-312/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement requirements-test.txt --constraint constraints.txt
	.venv-312/bin/python -m pytest --without-torch -n logical --maxprocesses 4 $(TEST)

# STAGE=worker: with torch, as for a GPU host; several gigabytes.
try-containers: install-dev
	$(PY) -m tests.deployment.container_files --stage $(or $(STAGE),web)

faults: install-dev
	FAULTS=full $(PY) -m pytest tests/faults tests/deployment/test_upgrade.py --ignore tests/faults/test_soak.py
	FAULTS=full $(PY) -m pytest --postgres $(addprefix tests/faults/test_,killed_web.py database_faults.py backup_under_votes.py)
	FAULTS=full $(PY) -m pytest --postgres tests/deployment/test_upgrade.py

MINUTES ?= 20

soak: install-dev
	FAULTS=full SOAK_MINUTES=$(MINUTES) $(PY) -m pytest -s tests/faults/test_soak.py

attacks: install-dev
	ATTACKS=1000 $(PY) -m pytest -s tests/security

# pip-audit lives apart: what it brings is no part of ours. Strict, because it passes over what it cannot look up.
audit: install-dev
	$(PY) -m evalsite.pins
	@$(VENV)/audit/bin/pip-audit --version >/dev/null 2>&1 || { $(PY) -m venv $(VENV)/audit && \
		$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==$(PIP_AUDIT); }
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

lint: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .

# A name on PATH may be a shim that runs nothing, so each candidate is tried.
venv:
	@if $(PY) -c '' 2>/dev/null; then exit 0; fi; \
	for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Winrate needs Python 3.11 or newer, and none was found; name one with: make PYTHON=/path/to/python3.11 up" >&2; \
		exit 1; \
	fi; \
	echo "Making a virtual environment in $(VENV) with $$($$found -V)."; \
	if ! $$found -m venv --clear $(VENV); then \
		echo "That Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	fi

# Installs a requirements file only where it, or what it builds on, has changed since the last time. Compiling apart from
# pip, on all cores, saves half of the time; a file that is no Python for this version may stay uncompiled.
define install
	@state="$$(cat requirements*.txt constraints.txt | cksum)"; \
	if [ "$$(cat $(VENV)/.$(1) 2>/dev/null)" != "$$state" ]; then \
		echo "Installing $(1); the first time takes some minutes."; \
		$(PY) -m pip install --disable-pip-version-check --no-compile --requirement $(1) --constraint constraints.txt \
			|| exit 1; \
		$(PY) -m compileall -qq -j 0 $(VENV)/lib || true; \
		echo "$$state" > $(VENV)/.$(1); \
	fi
endef

install: venv
	$(call install,requirements-worker.txt)

install-dev: venv
	$(call install,requirements-dev.txt)
