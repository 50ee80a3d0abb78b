# What can be done here?  `make` lists it.  Every target sets up what it needs.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup quickstart claims fleet serve dev test s3-server browser check lint types imports bench bench-fleets locks clean

# Without compiled files every worker would parse thousands of modules again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
JOBS := $(BIN)/jobs
INSTALLER := locks/install.sh locks/tools.txt pyproject.toml
PYTEST_ARGS ?=

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: .venv/.run-installed  ## Install what campaigns need into .venv (RPRM_PYTHON=... names a Python)

quickstart: setup  ## Run the whole method on a small world and write a report
	$(JOBS) run rprm/campaigns/quickstart.yaml

claims: setup  ## Run the campaign behind the result table; takes much longer than quickstart
	$(JOBS) run rprm/campaigns/claims.yaml

serve:  ## Install vLLM into .venv-serve: the CPU build where no NVIDIA driver answers
	locks/install.sh $$(nvidia-smi --list-gpus >/dev/null 2>&1 && echo serve || echo serve-cpu)

fleet: setup serve  ## Run the quickstart's campaign through real vLLM replicas on this machine
	$(JOBS) run rprm/campaigns/fleet.yaml

dev: .venv/.dev-installed  ## Install what development needs into .venv

test: dev s3-server  ## Run the unit and contract tests (PYTEST_ARGS="-k planner" selects)
	$(BIN)/pytest tests/unit tests/contract $(PYTEST_ARGS)

s3-server:  ## Build the S3 server of the contract tests, where Go is installed
	@tests/contract/install_s3_server.sh || echo "S3 server: going on; its tests are skipped."

browser:  ## Install the browser of the contract tests (Chromium), as root
	@tests/contract/install_browser.sh || echo "Browser: going on; its tests are skipped."

check: lint types imports  ## Run every check that is not a test

lint: dev  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev  ## Check types, strictly
	$(BIN)/mypy

imports: dev  ## Check that imports only point down
	$(BIN)/lint-imports

bench: dev  ## Measure against named peers and budgets
	$(BIN)/pytest tests/bench -s $(PYTEST_ARGS)

bench-fleets: dev  ## Measure judge fleets and print the table of tests/bench/README.md
	$(BIN)/pytest tests/bench $(PYTEST_ARGS) -k "test_vllm_throughput or test_two_pass or \
	  test_client_cpu or test_prefix_routing or test_autoscaler"

locks: setup  ## Compile the locks again (LOCK_ARGS=--upgrade takes newer versions)
	locks/compile.sh $(LOCK_ARGS)

clean:  ## Remove environments and caches; keeps .rprm, where results are
	rm -rf .venv .venv-uv .venv-serve .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find jobs rprm tests -name __pycache__ -prune -exec rm -rf {} +

.venv/.run-installed: locks/run.txt $(INSTALLER)
	locks/install.sh run
	@touch $@

.venv/.dev-installed: locks/dev.txt $(INSTALLER)
	locks/install.sh dev
	@touch $@ .venv/.run-installed
