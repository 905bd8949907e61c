# `make` alone lists the targets. Everything runs in .venv, which is made when it is missing and
# brought up to date when pyproject.toml or constraints.txt has changed.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: help demo test check docs links pictures kind kind-release kind-down locks release-check release-dry-run release-files bench-judge bench-replacement bench-load bench-leaktest bench-cli bench-scale soak e2e faults constraints generate clean

# The first of these that is Python 3.11 or newer; `make PYTHON=/path/to/python3 …` chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
DEMO := .venv/.demo
DOCS := .venv/.docs
DEV := .venv/.dev
ARGS ?=

help: ## list the targets
	@echo "usage: make TARGET [ARGS='…']"
	@grep -hE '^[a-z0-9-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/:.* ## /\t/' | expand -t 16

demo: demo-duration $(DEMO) ## replay the outage with real processes, with and without canary (ARGS='--scenario errors')
	$(BIN)/canary demo $(ARGS)

.PHONY: demo-duration
demo-duration:
	@test -e $(DEMO) || echo "The demo takes about three minutes, after its packages are installed into .venv (once)."
	@test ! -e $(DEMO) || echo "The demo takes about three minutes."

test: $(DEV) ## run the tests, on all cores (ARGS='-k judge', ARGS='-n 0' for one process)
	$(BIN)/pytest -n auto $(ARGS)

check: $(DEV) ## format, lint, types, import layers, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate --check

bench-judge: $(DEV) ## measure the judge on simulated releases and write docs/benchmarks.md
	$(BIN)/python -m bench.judge --write $(ARGS)

bench-replacement: $(DEV) ## measure how soon a fix is let through while stable is broken (as above)
	$(BIN)/python -m bench.replacement --write $(ARGS)

bench-load: $(DEV) ## measure canary loadtest on this machine (ARGS='--write': into docs/benchmarks.md)
	$(BIN)/python -m bench.load $(ARGS)

bench-leaktest: $(DEV) ## measure canary leaktest on the demo's auth service (ARGS='--write': as above)
	$(BIN)/python -m bench.leaktest $(ARGS)

bench-cli: $(DEV) ## measure how long commands take to start (ARGS='--write': into docs/benchmarks.md)
	$(BIN)/python -m bench.cli $(ARGS)

bench-scale: $(DEV) ## measure up to 2,000 releases on the cluster of KUBECONFIG with KWOK's nodes (ARGS='--write': as above)
	$(BIN)/python -m bench.scale $(ARGS)

soak: $(DEV) ## run releases there in a loop, and fail if the operator grows (ARGS='--minutes 30 --write')
	$(BIN)/python -m bench.soak $(ARGS)

e2e: $(DEV) ## whole releases on the cluster of KUBECONFIG, else on one of kind's (CANARY_E2E_FULL=1: all)
	$(BIN)/python -m e2e.harness $(ARGS)

faults: $(DEV) ## kill, freeze and starve the operator on that cluster, and check the invariants (ARGS='-k clock')
	$(BIN)/python -m e2e.faults $(ARGS)

docs: $(DOCS) ## build the documentation as a site, strictly, into site/; no dead link, no page left out
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

links: $(DOCS) ## ask every external link of the documentation whether it still answers
	$(BIN)/python -m tools.links

pictures: $(DEMO) $(DOCS) ## make the pictures of the documentation from real runs (needs chromium, and make kind)
	$(BIN)/python -m tools.evidence_picture
	$(BIN)/python -m tools.notification_picture
	$(BIN)/python -m tools.pictures animated docs/pictures/demo.svg -- $(BIN)/canary demo --report .venv/report.html
	$(BIN)/python -m tools.pictures page --height 1390 docs/pictures/report.png .venv/report.html
	@test -n "$(PROMETHEUS_URL)" || echo "Pictures of a cluster stay as they are: make kind, then KUBECONFIG and PROMETHEUS_URL" >&2
	test -z "$(PROMETHEUS_URL)" || $(MAKE) cluster-pictures

.PHONY: cluster-pictures
cluster-pictures:
	$(MAKE) kind-release V=good && $(BIN)/canary gate auth -n prod --timeout 15m
	$(MAKE) kind-release V=leak
	$(BIN)/python -m tools.pictures animated docs/pictures/status.svg -- $(BIN)/canary status auth -n prod -w
	$(BIN)/python -m tools.dashboard_picture docs/pictures/releases.png manifests/monitoring/dashboards/releases.json --rows 22
	$(BIN)/python -m tools.dashboard_picture docs/pictures/pools.png manifests/monitoring/dashboards/pools.json --rows 20

locks: $(DEV) ## rewrite locks/: versions and hashes of what the images contain
	$(BIN)/python -m tools.supply_chain lock

release-check: $(DEV) ## SBOMs (CycloneDX), known vulnerabilities, and the base by digest (BASE=NAME@sha256:…)
	$(BIN)/python -m tools.supply_chain check "$(BASE)"

release-dry-run: $(DEV) ## build everything that a release publishes, and try it; publishes nothing
	$(BIN)/python -m tools.release dry-run

release-files: $(DEV) ## write dist/: wheel, sdist, chart, install.yaml, notes (IMAGE=registry/name)
	$(BIN)/python -m tools.release files --image "$(IMAGE)"

kind: $(DEV) ## create a cluster to try canary on, with a service under load; docs/quickstart.md
	$(BIN)/python -m e2e.playground up

kind-release: $(DEV) ## deploy the next version there (V=good, leak, errors, slow or refuse)
	@test -n "$(V)" || { echo "which version? make kind-release V=good (or leak, errors, slow, refuse)" >&2; exit 2; }
	$(BIN)/python -m e2e.playground release $(V)

kind-down: $(DEV) ## delete that cluster
	$(BIN)/python -m e2e.playground down

generate: $(DEV) ## rewrite the generated parts of README.md and docs/
	$(BIN)/python -m tools.generate

constraints: ## refresh constraints.txt with the newest versions that pyproject.toml allows
	rm -rf .venv
	$(MAKE) .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[demo,dev]'
	{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel \
		| grep -E '^[A-Za-z0-9_.-]+==' | LC_ALL=C sort -f; } > .venv/constraints.txt
	mv .venv/constraints.txt constraints.txt
	touch $(DEMO) $(DEV)

clean: ## remove .venv and all caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found on PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual" \
		"environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

$(DEMO): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(DOCS): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[demo,dev]'
	@touch $@ $(DEMO)
