# `make` prints all targets. `make run` and `make test` install what they need.

SHELL := /bin/sh
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
# All builds that are not released have the same features, so that nothing is built twice. `fail-points` are the points at
# which tests kill a process.
CHECKED := --locked --workspace --features leasehold-tests/fail-points
CHAOS := "$${CARGO_TARGET_DIR:-target}/debug/chaos"
# Measurements use the release build.
BENCH := "$${CARGO_TARGET_DIR:-target}/release/bench"
BENCH_BUILD := $(CARGO) build --release --locked --workspace --bins

.DEFAULT_GOAL := help
.PHONY: help run test sim chaos chaos-short chaos-soak bench bench-all bench-soak bench-peers bench-guard scale-sim ci setup toolchain lint fmt deny doc clean test-setup k8s-check k8s-golden image-check observe-check observe-short

help: ## Print this list
	@echo 'Leasehold: make <target>'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Run the main job: a fleet works on thousands of real files, while workers are killed and frozen
	$(CARGO) build --release --locked --workspace --bins
	"$${CARGO_TARGET_DIR:-target}/release/main_job"

test: test-setup ## Run all tests, on real servers that they start themselves
	$(CARGO) build $(CHECKED) --bins
	@# Most tests wait for servers most of the time, so more of them run at once than there are cores.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-5} $(CARGO) test $(CHECKED) --no-fail-fast

chaos: test-setup ## Inject every fault into a fleet and check that nothing is lost; SCENARIO=... SEED=... runs one
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS)

chaos-short: test-setup ## Inject the six most important faults, in three minutes
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS) --short

sim: toolchain ## Simulate 2,000 fleets with faults, in virtual time; SEED=... shows one run, SEEDS=... sets the number
	SEEDS=$(or $(SEEDS),2000) $(CARGO) test $(CHECKED) --test sim every_seed -- --nocapture

MINUTES ?= 20
chaos-soak: test-setup ## Inject all faults at random, for MINUTES=20
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS) --scenario everything --minutes $(MINUTES)

bench: setup ## Measure throughput and latency, and the physical floor of PostgreSQL, in five minutes
	$(BENCH_BUILD)
	$(BENCH) short

bench-all: setup ## Measure everything and write docs/performance.md, in an hour
	$(BENCH_BUILD)
	for question in short growth claimers limits exec idle http backlog history pinned; do $(BENCH) $$question || exit 1; done
	$(BENCH) write docs/performance.md --plots docs/images

bench-soak: setup ## Check that memory, descriptors, dead rows and delays stay as they are, in an hour of work; writes docs/performance.md
	$(BENCH_BUILD)
	$(BENCH) --quiet-within 0 soak
	$(BENCH) write docs/performance.md --plots docs/images

bench-peers: setup ## Measure other queues too, with a program that measures them: PEERS=path/to/it
	$(BENCH_BUILD)
	$(BENCH) peers $(if $(PEERS),--script '$(PEERS)')

bench-guard: test-setup ## Check by ratios to the floor that Leasehold has not become slower, in two minutes
	$(CARGO) build $(CHECKED) --bins
	"$${CARGO_TARGET_DIR:-target}/debug/bench" --quiet-within 0 guard --rounds 2

scale-sim: test-setup ## Scale real workers by the real signal, with models of KEDA and of the HPA, in four minutes; draws the plot
	$(CARGO) build $(CHECKED) --bins
	"$${CARGO_TARGET_DIR:-target}/debug/scale_sim" --plot docs/images/scale-sim.svg

K8S_CHECK = python=$$(sh k8s/check/setup.sh) && "$$python" k8s/check/check.py

k8s-check: test-setup ## Render and validate the manifests and the chart, and run their commands as processes
	$(CARGO) build $(CHECKED) --bins
	@$(K8S_CHECK) "$${CARGO_TARGET_DIR:-target}/debug/leasehold"

observe-check: test-setup ## Make every alert fire by a real fault, and ask every query of the dashboards of a real Prometheus
	$(CARGO) build $(CHECKED) --bins
	@python=$$(sh k8s/check/setup.sh) && "$$python" k8s/check/observe.py "$${CARGO_TARGET_DIR:-target}/debug/leasehold"

observe-short: test-setup ## Check alerts, runbooks and dashboards, and ask every query of a real Prometheus, without faults
	$(CARGO) build $(CHECKED) --bins
	@python=$$(sh k8s/check/setup.sh) && "$$python" k8s/check/observe.py --short "$${CARGO_TARGET_DIR:-target}/debug/leasehold"

k8s-golden: ## Accept the manifests and the chart as they are rendered now, as golden files
	@$(K8S_CHECK) --write

image-check: test-setup ## Build the image without a container engine, and run the fleet of compose.yaml out of it, as root on Debian
	@sh deploy/install-servers.sh --for-image
	$(CARGO) build $(CHECKED) --bins
	@python=$$(sh k8s/check/setup.sh) && "$$python" k8s/check/built.py "$${CARGO_TARGET_DIR:-target}/debug/leasehold"

ci: ## Do what CI does: format, tests, chaos-short, bench-guard, k8s-check, observe-short, lints, licences, documentation
	$(CARGO) fmt --all --check
	$(MAKE) test
	@# What injects faults and looks at manifests waits most of the time. The compiler works beside it, in a folder of its own.
	@CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-target}/lint" nice -n 19 $(MAKE) lint doc & lints=$$!; \
	$(MAKE) chaos-short k8s-check observe-short; checks=$$?; \
	wait $$lints && exit $$checks
	$(MAKE) bench-guard
	$(MAKE) deny

setup: toolchain ## Install PostgreSQL and redis-server if they are missing (Debian, Ubuntu)
	@sh deploy/install-servers.sh

test-setup: toolchain ## Install the servers of setup, and PgBouncer, libfaketime, Prometheus and Python for the tests
	@sh deploy/install-servers.sh --for-tests
	@sh examples/fraud-pipeline/setup.sh >/dev/null || echo 'The test of examples/fraud-pipeline will fail: see above' >&2
	@LEASEHOLD_PYTHON_VENV="$${CARGO_TARGET_DIR:-target}/debug/python-client-venv" sh clients/python/setup.sh >/dev/null || echo 'The suite python will fail: see above' >&2

toolchain:
	@command -v $(CARGO) >/dev/null || { echo 'cargo is not installed: get Rust from https://rustup.rs' >&2; exit 1; }

lint: toolchain ## Check with clippy; warnings are errors
	$(CARGO) clippy $(CHECKED) --all-targets -- -D warnings

fmt: toolchain ## Format the code
	$(CARGO) fmt --all

deny: toolchain ## Check licences, bans and sources of dependencies, if cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check bans licenses sources; \
	else echo 'cargo-deny is not installed (cargo install cargo-deny): skipped' >&2; fi

doc: toolchain ## Build the documentation; warnings are errors
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps

clean: ## Remove all build results
	$(CARGO) clean
