# Each target makes its own environment in .venv: nothing need be installed beforehand but Python 3.11+ and make.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PACKAGES := tests/npm/node_modules/.installed
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-all test-npm chaos packages bench check format compatibility schema security clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/installed ## show the whole of it in ten seconds
	@$(BIN)/remit demo

# What this machine lacks is skipped, and the end of it says so; MISSING=fail fails it instead.
test: .venv/installed ## run the tests; what this machine lacks is skipped and named
	$(PYTEST)

# The same without skips, with what takes long and more examples of each property, and then the agents, hosts and
# clients from npm. It needs npm, and what apt brings for the rest.
test-all: export MISSING = fail
test-all: .venv/installed ## run all tests: needs bubblewrap, curl, strace, faketime and npm
	$(PYTEST) -m "not npm" --hypothesis-profile thorough
	$(MAKE) test-npm

test-npm: .venv/installed $(PACKAGES) ## run the tests of agents, hosts and clients from npm
	$(PYTEST) -m npm

# Users at work while the server is killed and starved, for so many seconds; SEED=… does the same again.
chaos: SECONDS ?= 120
chaos: .venv/installed ## break things for SECONDS, at random or by SEED
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

packages: $(PACKAGES) ## fetch what the tests need from npm: 1.3 GB

bench: .venv/installed ## measure, as ratios to bare counterparts
	$(BIN)/python -m benchmarks

check: .venv/installed ## look at style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

compatibility: .venv/installed ## write docs/compatibility.md anew
	$(BIN)/python -m tests.behaviours

schema: .venv/installed ## write storage/sqlite/schema.sql anew
	$(BIN)/python -m tests.storage.schema

security: .venv/installed ## write the gaps in SECURITY.md anew
	$(BIN)/python -m tests.gaps

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "remit needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "this Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

# 1.3 GB, from npm, into a folder that is ignored; nothing of it is run while it is installed.
$(PACKAGES): tests/npm/package-lock.json tests/npm/.npmrc
	cd tests/npm && npm ci --no-progress
	@touch $@

clean: ## remove what was installed here
	rm -rf .venv tests/npm/node_modules
