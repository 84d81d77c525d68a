# The project's commands. `make help` lists them; docs and CI call them by these names.
# A bare checkout needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo clean-demo test test-services test-browser test-spark test-peers bench lint format lock

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## Build .venv with everything that runs, tests and lints
	@.ci/venv "$(PYTHON)" dev

demo: ## Start Goldseam with its enterprise simulator (PORT, DATA_DIR); Ctrl-C stops it
	@.ci/venv "$(PYTHON)"
	@exec .venv/bin/python manage.py demo

clean-demo: ## Forget the demo's data (DATA_DIR)
	@.ci/clean-demo

test: ## Run the test suite on the embedded database
	@.ci/venv "$(PYTHON)" dev
	@.ci/tests embedded -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-services: ## Run all that touches a database, and more, on PostgreSQL and Redis (DATABASE_URL, CELERY_BROKER_URL)
	@.ci/venv "$(PYTHON)" dev
	@.ci/tests services -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-browser: ## Walk the console's journeys in a headless Chromium
	@.ci/venv "$(PYTHON)" dev
	@.ci/tests browser $(PYTEST_ARGS)

test-spark: ## Ask Spark in local mode what the embedded engine is asked: the answers are equal (needs Java 17)
	@.ci/venv "$(PYTHON)" spark
	@.ci/tests spark $(PYTEST_ARGS)

test-peers: ## Run the connectors against servers that nobody here wrote (installs them, loopback only)
	@.ci/venv "$(PYTHON)" peers
	@.ci/tests peers $(PYTEST_ARGS)

bench: ## Measure from outside over HTTP; prints a table and writes bench.json
	@.ci/venv "$(PYTHON)" dev
	@.ci/tests bench

lint: ## Style, floors, types, migrations in step, deploy check, OpenAPI document
	@.ci/venv "$(PYTHON)" dev
	@.ci/lint

format: ## Put the code into the one style
	@.ci/venv "$(PYTHON)" dev
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

lock: ## Resolve requirements*.in anew (maintainers; needs uv on the PATH)
	@.ci/lock
