# Everything a developer or user does, by name. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := data/sample_feed
PORT ?= 3000

.DEFAULT_GOAL := help
.PHONY: help run ui doctor image up down test test-stack test-ui screenshots lint format \
  bench bench-history bench-line bench-ridership bench-query soak chaos audit sbom lake-tables lock release clean clean-data

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-15s %s\n", $$1, $$2 }'

run: $(VENV)/run.stamp ## a sample feed of eight weeks, brought into data/lake, and on to ridership
	@$(BIN)/mta-pipeline sample $(SAMPLE) --weeks 8
	@# Into the default lake whatever is set: made-up weeks have no business in a real one.
	@set -a; . ./$(SAMPLE)/feed.env; MTA_LAKE_URL= MTA_STAGING_DIR= MTA_LAST_WEEK=; set +a; \
	$(BIN)/mta-pipeline backfill "$$MTA_FIRST_WEEK" latest && $(BIN)/mta-pipeline ridership

# Once there is a sample feed, these are over it, unless a feed or a lake is chosen.
OVER_SAMPLE := if [ -z "$$MTA_FEED_URL$$MTA_LAKE_URL" ] && [ -f $(SAMPLE)/feed.env ]; then \
  echo "over the sample feed; set MTA_FEED_URL for another"; set -a; . ./$(SAMPLE)/feed.env; set +a; fi

ui: $(VENV)/run.stamp ## the Dagster UI and daemon on http://127.0.0.1:3000, or another PORT=
	@$(OVER_SAMPLE); exec $(BIN)/mta-pipeline ui --port $(PORT)

doctor: $(VENV)/run.stamp ## what is missing in the set-up, and what to do about it
	@$(OVER_SAMPLE); $(BIN)/mta-pipeline doctor

# deploy/compose.yaml with stand-ins for the cloud: its settings are deploy/laptop.env and nothing else.
COMPOSE := env -i PATH="$$PATH" HOME="$$HOME" DOCKER_HOST="$$DOCKER_HOST" DOCKER_CONTEXT="$$DOCKER_CONTEXT" \
  DOCKER_SOCK="$$DOCKER_SOCK" DOCKER_GID="$$(stat -c %g "$${DOCKER_SOCK:-/var/run/docker.sock}" 2>/dev/null || echo 0)" UI_PORT="$$UI_PORT" \
  docker compose --env-file deploy/laptop.env --file deploy/compose.yaml
BUILD := docker build --quiet $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) \
  --build-arg REVISION="$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"

image: ## the container image, mta-pipeline:local
	@$(BUILD) --tag mta-pipeline:local .

up: image ## production's shape on a laptop, without any cloud: containers, Postgres, a bucket, a sample feed
	@$(BUILD) --target emulator --tag mta-pipeline:local-emulator .
	@$(COMPOSE) up --detach --no-build --wait --wait-timeout 300
	@echo "the UI is on http://127.0.0.1:$${UI_PORT:-3000}; make down ends it"

down: ## end what `make up` began; its data too with DOWN=--volumes
	@runs=$$(docker ps --quiet --filter label=mta-pipeline=run); [ -z "$$runs" ] || docker stop $$runs
	@$(COMPOSE) down $(DOWN)
	@[ "$(DOWN)" != --volumes ] || docker volume rm --force mta-pipeline-staging

test: $(VENV)/dev.stamp ## the whole test suite
	@$(BIN)/python -m pytest --numprocesses auto $(PYTEST)

test-stack: $(VENV)/dev.stamp ## what `make up` has brought up, tried out
	@$(BIN)/python -m pytest -m stack mta_pipeline_tests/deploy $(PYTEST)

test-ui: $(VENV)/dev.stamp ## the UI and the report in a real browser, Debian's chromium
	@$(BIN)/python -m pytest -m browser mta_pipeline_tests/ui $(PYTEST)

screenshots: $(VENV)/dev.stamp ## the pictures in README.md and docs/, anew, by the same tests
	@$(BIN)/python -m pytest -m browser mta_pipeline_tests/ui --screenshots docs/images $(PYTEST)

lint: $(VENV)/dev.stamp ## format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile

format: $(VENV)/dev.stamp ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp ## seconds and megabytes a week, beside curl | gzip
	@$(BIN)/python -m bench.ingest $(BENCH)

bench-history: $(VENV)/dev.stamp ## all weeks from 2010 to 2024, through the command and the daemon, beside what one would do without
	@$(BIN)/python -m bench.history $(BENCH)

bench-line: $(VENV)/dev.stamp ## a feed that is far away: is the line full?
	@$(BIN)/python -m bench.line $(BENCH)

bench-ridership: $(VENV)/dev.stamp ## what ridership counts beside other rules, and what a week of it costs
	@$(BIN)/python -m bench.ridership $(BENCH)

bench-query: $(VENV)/dev.stamp ## seconds of the README's query over fourteen years of ridership
	@$(BIN)/python -m bench.query $(BENCH)

soak: $(VENV)/dev.stamp ## 2,080 small weeks through one process: its memory, files, threads and record
	@$(BIN)/python -m bench.soak $(SOAK)

chaos: $(VENV)/dev.stamp ## backfills under sixty kinds of fault, each checked: see docs/reliability.md
	@$(BIN)/python -m chaos $(CHAOS)

lake-tables: $(VENV)/run.stamp ## terraform/lake_tables.json, from the columns in mta_pipeline/domain/
	@$(BIN)/python -m mta_pipeline.domain.bigquery

lock: $(VENV)/dev.stamp ## pin what pyproject.toml asks for; newer versions with UPGRADE=--upgrade
	@$(BIN)/pip install --quiet uv
	@for lock in "requirements.lock --extra build --extra deploy" \
	  "requirements-k8s.lock --extra build --extra deploy --extra k8s" \
	  "requirements-dev.lock --extra build --extra deploy --extra k8s --extra dev"; do \
	  $(BIN)/uv pip compile pyproject.toml --quiet $(UPGRADE) --universal --python-version 3.10 --generate-hashes \
	    --no-emit-index-url --no-strip-extras --no-header --no-annotate --output-file $$lock || exit 1; \
	done

release: $(VENV)/run.stamp ## the wheel and the notes of a version in dist/, if TAG= is that of version and changelog
	@version=$$($(BIN)/mta-pipeline --version | awk '{ print $$NF }'); \
	[ "$(TAG)" = "v$$version" ] || { echo "the tag is '$(TAG)', the version (mta_pipeline/__init__.py) is $$version"; exit 1; }; \
	grep -q "^## $$version (20" CHANGELOG.md || { echo "CHANGELOG.md has no section with the date of $$version"; exit 1; }; \
	mkdir -p dist; awk -v version="$$version" '/^## / { here = $$2 == version } here' CHANGELOG.md >dist/notes.md; \
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

# Tools with many dependencies of their own, in an environment of their own.
$(VENV)-audit/stamp: $(VENV)/python.stamp
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit cyclonedx-bom
	@touch $@

audit: $(VENV)-audit/stamp ## ask OSV for known weaknesses of what requirements.lock pins
	@$(VENV)-audit/bin/pip-audit --vulnerability-service osv --disable-pip --require-hashes --requirement requirements.lock

sbom: $(VENV)-audit/stamp ## what the image is made of: sbom.json, in CycloneDX
	@$(VENV)-audit/bin/cyclonedx-py requirements --output-format JSON --output-file sbom.json requirements.lock
	@echo "sbom.json: $$(grep -c '"bom-ref": "requirements-' sbom.json) packages"

clean: ## remove what can be made again: the environment and caches, but no data
	rm -rf $(VENV) $(VENV)-audit sbom.json bench/work chaos/work .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## remove the lake in data/lake, staging, the sample feed, and Dagster's record of runs
	rm -rf data .dagster_home

# The environment is made once, from the lock alone; afterwards no network is needed.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "Python 3.10 to 3.13 is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@[ -w . ] || { \
	  echo "No right to write in $(CURDIR), where the environment goes: clone the project into a folder of yours"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/run.stamp: $(VENV)/python.stamp requirements.lock pyproject.toml
	@echo "installing what requirements.lock pins"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock || { \
	  echo "Packages could not be fetched; pip says why. Behind a proxy set HTTPS_PROXY; for a mirror set PIP_INDEX_URL"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	@echo "installing what requirements-dev.lock pins"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@
