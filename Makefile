# Lockkeeper from a fresh clone, with nothing but make and Python 3.11 or later:
#   make run     starts it on this machine, without a cluster
#   make help    tells the rest

VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
WORKERS ?= 2
SEEDS   ?= 1000
ARGS    ?=
E2E     := tests/e2e tests/policy/cluster tests/charts tests/image
SKIPPED := 77
UV      := $(shell command -v uv 2>/dev/null)

# The first Python that is new enough; `make PYTHON=... run` says otherwise.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	if $$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$python; break; fi; done)

ifeq ($(UV),)
CREATE  = '$(PYTHON)' -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check
else
CREATE  = $(UV) venv -q --allow-existing --python '$(PYTHON)' $(VENV)
INSTALL = $(UV) pip install -q --python $(BIN)/python
endif

# What `make check` asks of a built wheel: that it alone, and not this folder, gives a command that starts.
define CHECK_WHEEL_SOURCE
import importlib, importlib.metadata, importlib.resources, sys
unpacked = sys.argv.pop(1)
scripts = importlib.metadata.distribution("lockkeeper").entry_points.select(group="console_scripts")
assert {each.name for each in scripts} == {"lockkeeper", "kubectl-lockkeeper"}, scripts
(command,) = {each.load() for each in scripts}
for name in ("lockkeeper", "webhook", "policy", "certs"):
    found = importlib.import_module(name).__file__
    assert found.startswith(unpacked), f"{name} came from {found}, not from the wheel"
for each in importlib.import_module("lockkeeper.cli.commands").COMMANDS:
    each.load()  # The help alone imports none of them.
page = importlib.resources.files("lockkeeper.page")
missing = [each for each in ("templates/overview.html", "static/page.css") if not (page / each).is_file()]
assert not missing, f"the wheel lacks {missing}"
sys.argv = ["lockkeeper", "--help"]
sys.exit(command())
endef

.DEFAULT_GOAL := help
.PHONY: help setup run test e2e check sim deadlocks worst bench bench-guard bench-starts bench-compare bench-release bench-queue bench-simulate lock clean

help: ## Tell what there is (the default)
	@echo 'Usage: make TARGET [ARGS="..."]'
	@sed -n 's/^\([-a-z0-9]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | while read -r target text; do \
		printf '  %-13s %s\n' "$$target" "$$text"; done

setup: $(READY) ## Make .venv with exactly the packages of requirements.lock (with uv where there is one)
	@:

run: $(READY) ## Start Lockkeeper here, without a cluster, on the examples; ARGS go to `lockkeeper run`
	@exec $(BIN)/lockkeeper run --policies examples/policies --workflows examples/workflows $(ARGS)

test: $(READY) ## Run the tests; ARGS go to pytest, WORKERS is how many run at once
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

e2e: $(READY) ## Run the tests on a real control plane (built the first time: needs Go); ARGS go to pytest, WORKERS as for test
	@$(BIN)/python -m tests.e2e.building || { code=$$?; test $$code = $(SKIPPED) && exit 0; exit $$code; }; \
	LOCKKEEPER_E2E=1 $(BIN)/python -m pytest $(if $(findstring tests/,$(ARGS)),,$(E2E)) -m e2e -n $(WORKERS) --dist loadfile \
		--no-loadscope-reorder $(ARGS)

check: export CHECK_WHEEL = $(CHECK_WHEEL_SOURCE)
check: $(READY) ## Lint, check the format, the types and the layers, build the packages and try the wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@echo 'build the sdist, the wheel from it, and start the command from the wheel'
	@set -e; built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; root=$$PWD; \
	$(BIN)/python -m build --no-isolation --outdir "$$built" . >"$$built/log" 2>&1 || { cat "$$built/log" >&2; exit 1; }; \
	$(BIN)/python -m zipfile -e "$$built"/lockkeeper-*.whl "$$built/unpacked"; \
	cd "$$built"; \
	PYTHONPATH="$$built/unpacked" "$$root/$(BIN)/python" -P -c "$$CHECK_WHEEL" "$$built/unpacked" >/dev/null

sim: $(READY) ## Check the ledger protocol over every interleaving, then simulate SEEDS runs under faults; ARGS go to the simulation
	@$(BIN)/python -m tests.protocol
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

deadlocks: $(READY) ## Compare the analysis of deadlocks with every interleaving of 20,000 graphs; ARGS="--graphs 1000"
	@$(BIN)/python -m tests.policy.core.lock_graph.deadlock_trial $(ARGS)

worst: $(READY) ## Give every part of a review its worst input of 7 MiB; ARGS="--size 1000000 --seconds 0.2"
	@$(BIN)/python -m tests.properties.worst_trial $(ARGS)

bench: $(READY) ## Measure; ARGS go to the benchmark
	@$(BIN)/python -m bench.run $(ARGS)

bench-guard: $(READY) ## Show that nothing became slower than its limit in bench/guard_limits.toml; below a minute
	@$(BIN)/python -m bench.guard $(ARGS)

bench-starts: $(READY) ## Show that of each kind of history five to seven and a half of ten starts come inside the stated range
	@$(BIN)/python -m bench.starts

bench-compare: $(READY) ## Measure the webhook against another build; ARGS="FOLDER" is a worktree of it
	@$(BIN)/python -m bench.compare $(ARGS)

bench-release: $(READY) ## Measure what a leader costs and how fast it lets go; some minutes (ARGS="--only plan")
	@$(BIN)/python -m bench.release $(ARGS)

bench-queue: $(READY) ## Play Kueue's own baseline scenario on a real control plane; minutes (ARGS="--scale 0.05")
	@$(BIN)/python -m bench.queueing $(ARGS)

bench-simulate: $(READY) ## Measure simulations of a history as ratios; a minute (ARGS="--runs 100000" for the goal)
	@$(BIN)/python -m bench.simulating $(ARGS)

lock: LOCK = $(UV) pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --python-version 3.11
lock: ## Choose versions anew from pyproject.toml and write the locks (needs uv; ARGS=--upgrade for the newest)
	@test -n '$(UV)' || { echo 'make lock needs uv on the PATH' >&2; exit 1; }
	$(LOCK) --extra dev pyproject.toml -o requirements.lock $(ARGS)
	@echo 'the same versions for the image: what it runs with, and what builds its wheel'
	$(LOCK) -c requirements.lock pyproject.toml -o requirements-runtime.lock
	@'$(PYTHON)' -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) -c requirements.lock - -o requirements-build.lock

clean: ## Remove everything that was made here, .venv too
	@rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: a set-up that broke off is taken up again.
$(READY): requirements.lock pyproject.toml
	@'$(PYTHON)' -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo 'Lockkeeper needs Python 3.11 or later: install it, or say where it is with make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'Setting up $(VENV) from requirements.lock ...'
	@$(CREATE)
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@
