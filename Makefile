# `make demo` and `make test` are all a newcomer needs; both set up what they need first.
VENV ?= .venv
BIN := $(VENV)/bin
BUDGET ?= 90s
READY := $(VENV)/.complete
JOBS ?= 2
MUTANTS ?= 1000
PARALLEL := -n $(JOBS) --dist loadgroup
FAST := not torch and not process and not slow

.PHONY: demo test test-fast faults coverage check docs site format clean

## demo: set up, run autotl on handwritten digits, print leaderboard, recommendation and report
demo: $(READY)
	@$(BIN)/autotl demo --offline --budget $(BUDGET)

## test: set up and run the tests, by two processes; make test JOBS=0 for one after the other
test: $(READY)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

## test-fast: run the tests that need no torch, no process and no whole run: under a minute, for every commit
test-fast: $(READY)
	@$(BIN)/python -m pytest $(PARALLEL) -m "$(FAST)" $(ARGS)

## faults: run the tests of hostile and unlucky input alone, with 1,000 mutants of a kind, and print what was tried
faults: $(READY)
	@AUTOTL_MUTANTS=$(MUTANTS) $(BIN)/python -m pytest $(PARALLEL) tests/faults $(ARGS)

## coverage: run the tests and print which share of lines and branches they run; make coverage FAST_ONLY=1 for the fast ones
coverage: $(READY)
	@rm -rf .coverage
	-@$(BIN)/python -m coverage run -m pytest $(if $(FAST_ONLY),-m "$(FAST)") $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

## check: lint, formatting, types, import contracts
check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

## docs: write the generated pages again (the tests fail when they are stale)
docs: $(READY)
	@$(BIN)/python tools/write_docs.py

## site: build the documentation as a site, in build/site; a broken link ends it
site: $(READY)
	@$(BIN)/python -m mkdocs build --strict

## format: put the code into shape
format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

## clean: remove the environment and everything that was built
clean:
	@rm -rf .venv .ci-env .coverage build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh "$(VENV)"
