# Every target sets up what it needs first: a virtual environment in .venv with the pinned packages.
PYTHON ?= python3.11
HOME_FOLDER ?= .capflow
# Each takes up to 3 GB; much of what is tested waits for other processes.
TEST_PROCESSES ?= 4
BIN := .venv/bin
# Tests and the demo start processes by the hundred: each would compile two thousand modules anew, 4 s of its 6.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-databricks check format ui bench bench-night graph models clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.venv/ready: pyproject.toml constraints.txt deploy/environment.py deploy/without_gpu.txt
	$(PYTHON) deploy/environment.py demo encoders dev
	@touch .venv/ready

setup: .venv/ready ## the virtual environment alone

demo: .venv/ready ## four customers, two of them real, from bills to champions and predictions
	$(BIN)/capflow demo --home $(HOME_FOLDER)

test: .venv/ready ## all tests but those of large counts
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder --durations 30

test-long: .venv/ready ## kills by the hundred and hostile input by the thousand; figures go to bench/reliability.json
	CAPFLOW_RELIABILITY=bench/reliability.json $(BIN)/python -m pytest -m long --timeout 7200

test-databricks: .venv/ready ## the step launcher against the workspace that DATABRICKS_HOST names
	@test -n "$$DATABRICKS_HOST" || { echo "Set DATABRICKS_HOST and the variables that capflow_assets_tests/graph/databricks/test_real.py lists."; exit 2; }
	$(BIN)/python -m pytest capflow_assets_tests/graph/databricks/test_real.py

check: .venv/ready ## format, lint, types, import rules, doctests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet --doctest-modules capflow_assets

format: .venv/ready ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ui: .venv/ready ## Dagster's page and daemon on the demo's home, http://127.0.0.1:3000
	$(BIN)/capflow ui --home $(HOME_FOLDER)

.venv/bench: .venv/ready
	$(PYTHON) deploy/environment.py demo encoders dev bench
	@touch .venv/bench

bench: .venv/bench ## timings, ours and the peer in one run
	$(BIN)/python -m bench

bench-night: .venv/ready ## one night of 300 simulated customers through the daemon on PostgreSQL; an hour or so
	$(BIN)/python -m bench.night_fleet

graph: .venv/ready ## write the golden graph and the lineage of columns anew
	$(BIN)/python -c "from capflow_assets.definitions import defs; from capflow_assets.graph.golden import graph_text; \
	  print(graph_text(defs), end='')" > capflow_assets_tests/graph.txt
	$(BIN)/python -c "from capflow_assets.definitions import STAGES; from capflow_assets.graph.engine import Engine; \
	  from capflow_assets.tables.column_lineage import as_text; from capflow_assets.tables.column_origins import derived; \
	  print(as_text(derived(Engine().spark_session, STAGES)), end='')" > capflow_assets/tables/column_lineage.txt

models: .venv/ready ## write the list of models anew
	$(BIN)/python -c "from capflow_assets.definitions import STAGES; from capflow_assets.pages.model_list import model_list; \
	  from pathlib import Path; \
	  print(model_list(STAGES, Path('bench/models.md').read_text(encoding='utf-8')), end='')" > docs/models.md

clean: ## remove the virtual environment and the demo's home
	rm -rf .venv $(HOME_FOLDER)
