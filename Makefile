# Every target creates the virtual environment it needs; no other command comes before.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
KILLS  ?= 300
SEED   ?=
# One more than the processors of a small machine: many tests wait for processes of their own.
JOBS   ?= 3
STAMP  := $(VENV)/.installed

.PHONY: all install demo test test-unit test-long chaos snapshot lint format bench lock clean

all: lint test

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)  ## the main job, unattended: a lab whose code changes while it runs
	$(BIN)/python -m lab.demo

test: $(STAMP)  ## every test; servers are started by the tests
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

test-unit: $(STAMP)  ## the tests that need no server
	$(BIN)/python -m pytest tests/unit -m "not system and not long"

test-long: $(STAMP)  ## every test, and the property tests with thousands of examples
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m "" --numprocesses $(JOBS) --dist loadfile --timeout 3600

chaos: $(STAMP)  ## kill each process of labs at work at each step of both cutovers, KILLS times or more; writes docs/chaos.json
	$(BIN)/python tests/support/chaos.py --kills $(KILLS) --every-step $(if $(SEED),--seed $(SEED)) --results docs/chaos.json

snapshot: $(STAMP)  ## freeze the starter lab into snapshots/
	$(BIN)/hotswap freeze lab/starter/my_lab --store snapshots

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --config-file= lab/starter/my_lab
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## every figure of the README; writes benchmarks/results.json
	$(BIN)/python -m benchmarks

lock: $(STAMP)  ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 pyproject.toml --extra embedded --extra dev \
		--generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
