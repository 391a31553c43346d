# `make` shows what there is. All targets work on a fresh machine: what is missing is installed, or named with the fix.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help setup demo test fuzz hostile under-fire bench-judge bench-evals check fmt crds crds-check plugin image cluster-up cluster-down requirements clean

DEV := hack/python hack/dev.py
BIN := .venv/bin
ARGS ?=
QUICK = $(BIN)/python -m pytest -m "not cluster and not slow" -n auto $(ARGS)
WHOLE = CLAUDE_OPERATOR_REQUIRE_CLUSTER=1 hack/in-cluster $(BIN)/python -m pytest $(ARGS)
CRDS = $(BIN)/python -m claude_operator crds --output crds --chart charts/claude-operator/templates/crds --docs docs/api.md

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## make .venv with the pinned Python packages
	@$(DEV) setup

demo: image ## run the demo: five revisions, from the first to a rollback, on the cluster
	@hack/in-cluster $(BIN)/python demo/run.py $(ARGS)

test: image ## run all tests, those on a real cluster too; ARGS goes to pytest
	@$(BIN)/python -m tests.cluster.prometheus  # the cluster's own network leads nowhere else
	@$(DEV) browser
	@$(DEV) database
	@$(BIN)/python -m tests.clients.packages
	@$(BIN)/python hack/plugin.py --fetch
	@ran=0; failed=0; log=$$(mktemp); slow=; \
	trap 'kill -INT -- -$$slow 2>/dev/null && wait $$slow || true; rm -f "$$log"' EXIT; trap 'exit 130' INT TERM; \
	$(QUICK) && ran=1 || [ $$? -eq 5 ]; \
	set -m; $(WHOLE) -m "slow and not cluster" >"$$log" 2>&1 </dev/null & slow=$$!; set +m; \
	$(WHOLE) -m "cluster and alone" && ran=1 || [ $$? -eq 5 ] || failed=1; \
	$(WHOLE) -m "cluster and not alone" -n 2 --dist loadfile && ran=1 || [ $$? -eq 5 ] || failed=1; \
	wait $$slow && ran=1 || [ $$? -eq 5 ] || failed=1; cat "$$log"; \
	[ $$ran$$failed != 00 ] || { echo "no test ran: correct ARGS"; failed=1; }; exit $$failed

under-fire: image ## break leader, API server, etcd and upstream in rollouts, about 25 minutes; ARGS="--only ready"
	@hack/in-cluster $(BIN)/python -m tests.cluster.under_fire $(ARGS)

hostile: image ## measure what hostile connections and objects cost the others, about 15 minutes
	@hack/in-cluster $(BIN)/python -m tests.cluster.hostile $(ARGS)

fuzz: setup ## throw three million inputs at all that reads what others write; ARGS="--target body --inputs 100000"
	@$(BIN)/uv pip install --quiet --require-hashes --requirement requirements-fuzz.txt || echo "no atheris here: blind"
	@$(BIN)/python -m tests.fuzz $(ARGS)

bench-judge: setup ## simulate rollouts and compare the judge with other rules, a night; ARGS=--quick: minutes
	@$(BIN)/python -m bench.judge $(ARGS)

bench-evals: setup ## simulate runs of the eval gate beside other rules, an hour; ARGS="--data DIR" for BANKING77, GSM8K
	@$(BIN)/python -m bench.evals $(ARGS)

check: setup ## check style, types, layers and CRDs, and run the unit tests
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) crds-check
	@$(QUICK)

fmt: setup ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

crds: setup ## write crds/, the chart's copy and docs/api.md from the models
	@$(CRDS)

crds-check: setup ## fail when crds/, the chart's copy or docs/api.md differ from the models
	@$(CRDS) --check

plugin: setup ## build kubectl-claude as a self-contained archive, and its krew manifest; ARGS=--all: all platforms
	@$(BIN)/python hack/plugin.py $(ARGS)

image: cluster-up ## build the image of this checkout and load it into the cluster
	@$(DEV) image

cluster-up: setup ## start the cluster: CLUSTER_CONTEXT=kind-NAME, or else the project's own
	@$(DEV) cluster-up

cluster-down: ## remove the cluster that cluster-up made
	@$(DEV) cluster-down

PIN = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url $(ARGS)

requirements: setup ## pin the dependencies anew; ARGS=--upgrade for newer versions
	@printf 'hatchling\neditables\n' | $(PIN) - --output-file requirements-build.txt
	@$(PIN) pyproject.toml --output-file requirements.txt
	@printf 'atheris<3.1\n' | $(PIN) - --output-file requirements-fuzz.txt
	@printf 'click\nmsgspec\npydantic\npyyaml\nrich\n' | $(PIN) - -c requirements.txt --output-file requirements-plugin.txt
	@printf 'shiv\n' | $(PIN) - --output-file requirements-shiv.txt
	@$(PIN) pyproject.toml --extra dev -c requirements.txt -c requirements-build.txt --output-file requirements-dev.txt

clean: ## remove .venv and what tools left in the checkout; ~/.cache/claude-operator stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
