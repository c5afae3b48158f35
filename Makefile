# Two commands on a fresh Linux machine with Python 3.11+: `make up` and `make test`. Everything lives in .venv.
SHELL := /bin/bash
DATA  := $(or $(ZEROHOP_DATA),data)
SOAK_S ?= 1800
BIN   := .venv/bin
ROOTS := core master worker proxy bench tests
# Two processes share the tests out: each begins with a half, and takes from the other's when it is done (CONTRIBUTING.md).
SHARED_OUT := -n 2 --dist worksteal
PINS  := pyproject.toml constraints/dev.txt .ci/venv
# What tests/clients drives: an environment of Python clients, and one of Node.
NODE_CLIENTS := tests/clients/node/node_modules/.package-lock.json
CLIENTS      := .venv-clients/.clients $(NODE_CLIENTS)
# Azurite, which tests/origins mounts.
NODE_ORIGINS := tests/origins/node/node_modules/.package-lock.json

# Where the environment forbids Python to keep compiled modules, each of the many processes of a test run compiles ours anew:
# a proxy takes 0.73 s of processor time to be loaded instead of 0.57, a command 0.29 instead of 0.22.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: up test check lint format soak bench clean programs

up: .venv/.runtime
	@exec $(BIN)/zerohop up --data "$(DATA)" $(UP_ARGS)

test: .venv/.dev $(CLIENTS) $(NODE_ORIGINS)
	$(BIN)/python -m pytest $(SHARED_OUT) $(PYTEST_ARGS)

check: lint
	$(BIN)/python -m pytest -q tests/house

# All of `check` that `test` does not do as well.
lint: .venv/.dev
	$(BIN)/ruff format --check $(ROOTS)
	$(BIN)/ruff check $(ROOTS)
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .import_linter_cache

format: .venv/.dev
	$(BIN)/ruff check --fix $(ROOTS)
	$(BIN)/ruff format $(ROOTS)
	$(BIN)/zerohop config reference > docs/configuration.md

# The full-size forms: gigabyte streams, a million keys, every client, repeated kills, a long day of a whole cluster. They
# share SOAK_S seconds (600 to 7200) and end by themselves (docs/soak.md); the limit is for a hang that nobody foresaw.
# SOAK_REPORT=FOLDER keeps the figures.
soak: .venv/.dev $(CLIENTS) $(NODE_ORIGINS)
	@.ci/debian-packages soak
	$(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint constraints/dev.txt --group soak
	SOAK_S=$(SOAK_S) timeout --signal=INT --kill-after=60 $$(( $(SOAK_S) * 5 / 4 + 600 )) \
	  $(BIN)/python -m pytest -m 'soak or several_workers' --timeout 600 $(PYTEST_ARGS)

# The whole table of targets, in under 20 minutes; BENCH_ARGS=--quick takes under three. MinIO is built once where Go is.
bench: .venv/.bench .venv-bench/.peers
	@.ci/debian-packages bench
	@$(BIN)/zerohop bench build-minio
	PATH="$(CURDIR)/.venv-bench/bin:$$PATH" $(BIN)/zerohop bench all $(BENCH_ARGS)

# The stamps make a second run quick: pip is asked again only when the pins or the project file changed.
.venv/.runtime: $(PINS)
	@.ci/venv runtime

.venv/.dev: $(PINS)
	@.ci/venv dev

.venv/.bench: $(PINS)
	@.ci/venv bench

programs: # from Debian
	@.ci/debian-packages

.venv-bench/.peers: constraints/bench.txt .ci/venv | .venv/.bench
	@.ci/venv peers

.venv-clients/.clients: constraints/clients.txt .ci/venv | .venv/.dev
	@.ci/venv clients

$(NODE_CLIENTS): tests/clients/node/package.json tests/clients/node/package-lock.json | programs
	@echo "installing into tests/clients/node: clients for Node"
	@npm ci --prefix tests/clients/node --silent --no-audit --no-fund --ignore-scripts && touch $@

$(NODE_ORIGINS): tests/origins/node/package.json tests/origins/node/package-lock.json | programs
	@echo "installing into tests/origins/node: Azurite"
	@npm ci --prefix tests/origins/node --silent --no-audit --no-fund --ignore-scripts && touch $@

clean:
	rm -rf .venv .venv-clients .venv-bench bench-results tests/clients/node/node_modules tests/origins/node/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(ROOTS) -name __pycache__ -type d -prune -exec rm -rf {} +
