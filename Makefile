# `make demo` and `make test` need Python 3.11, a JDK 17 and Maven (or newer ones); all else is
# fetched into .venv and .playground. Works as root and as any other user.

ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for one in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		command -v $$one; break; fi; done)
endif
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# else each of the thousand processes of the tests compiles all modules anew: 0.3 s each
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-faults bench fuzz convergence soak model format compose-test requirements clean servers

help: ## this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use it

demo: $(STAMP) servers ## real servers, the daemon, edits, and how soon Elasticsearch has each one
	@$(BIN)/python -m playground.demo

# JDK, Maven, Elasticsearch's jars: what is missing is said at once.
servers: $(STAMP) ## make .venv, and fetch what demo and tests need, or say what is missing
	@$(BIN)/python -m playground.demo_setup

clean: ## remove .venv, .playground and all caches
	rm -rf $(VENV) .playground .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis

##@ Change it

test: $(STAMP) ## formatting, lint, types, floors, all tests with coverage (25 minutes at most)
	@# the types are checked while servers are fetched: the one computes, the other waits
	@$(BIN)/mypy & types=$$!; $(BIN)/python -m playground.demo_setup && wait $$types
	@# meanwhile: a test that needs one of them waits for it, and says what is wrong
	@$(BIN)/python -m playground.demo_setup --others >/dev/null 2>&1 &
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not long" --numprocesses=3 --dist=loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(STAMP) ## mend formatting, and the lint that can be mended by itself
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

requirements: $(STAMP) ## requirements.txt from pyproject.toml (ARGS=--upgrade: newest versions)
	CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/pip-compile --quiet --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-emit-options --output-file requirements.txt $(ARGS) pyproject.toml

##@ Prove it

# What `make test` leaves out for its time, marked `long`; names narrow it: make test-faults ARGS='-k failover'
test-faults: $(STAMP) servers ## every outage, on servers that are really broken (three quarters of an hour)
	$(BIN)/python -m pytest --session-timeout=3600 --numprocesses=3 \
		--dist=loadfile -m long tests $(ARGS)

ifeq ($(origin SEED), undefined)
SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
endif
# MINUTES, SEED, ARGS='--only kill_active failover'
soak: MINUTES ?= 60
soak: $(STAMP) servers ## many writers under random faults for MINUTES (60), then index = query
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED) $(ARGS)

# A failure prints its history and the command that replays it
convergence: MINUTES ?= 10
convergence: $(STAMP) servers ## random histories of writes and faults for MINUTES (10)
	$(BIN)/python -m tests.convergence run --minutes $(MINUTES) --seed $(SEED) $(ARGS)

# Ten properties of 10,000 examples each (FUZZ_EXAMPLES); the seed repeats a run: make fuzz SEED=7
fuzz: $(STAMP) servers ## 100,000 random payloads, keys, bulk bodies, replies; some guided by coverage
	@$(BIN)/python -m pip install --quiet --group fuzz || echo 'no atheris for this Python: without it' >&2
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-10000} $(BIN)/python -m pytest --timeout=1200 \
		--session-timeout=1800 --hypothesis-seed=$(SEED) tests/fuzz $(ARGS)
	$(BIN)/python -m tests.fuzz.guided --seed $(SEED)

model: $(STAMP) ## the write protocol, explored exhaustively (ARGS='--wrong all')
	@$(BIN)/python -m tests.model $(ARGS)

compose-test: $(STAMP) ## the compose deployment on a real Docker engine
	$(BIN)/python -m tests.compose

# Names of scenarios, --quick, --rounds N, --output: make bench ARGS='freshness --rounds 3'
bench: $(STAMP) servers ## every figure of docs/benchmarks anew, each beside its floor (ARGS=--quick)
	$(BIN)/python -m benchmarks $(ARGS)

# Once, and again whenever pyproject.toml has changed. pip 25.1 is the first that knows --group.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo 'Python 3.11 or newer was not found. On Debian and Ubuntu: apt-get install'; \
		echo 'python3 python3-venv. Where it has another name: make PYTHON=/path/to/python'; \
		exit 1; \
	} >&2
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@
