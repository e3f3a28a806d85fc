# `make` prints what there is. `make run` and `make test` do all set-up themselves.

SHELL := /bin/sh
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
# One set of features for all that is not released, so that nothing is built twice: with places to die at for tests.
CHECKED := --locked --workspace --features leasehold-tests/fail-points
CHAOS := "$${CARGO_TARGET_DIR:-target}/debug/chaos"
# What is measured is what is released.
BENCH := "$${CARGO_TARGET_DIR:-target}/release/bench"
BENCH_BUILD := $(CARGO) build --release --locked --workspace --bins

.DEFAULT_GOAL := help
.PHONY: help run test sim chaos chaos-short chaos-soak bench bench-all bench-peers bench-guard ci setup toolchain lint fmt deny doc clean test-setup

help: ## Print this
	@echo 'Leasehold: make <target>'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Run the main job: a fleet on thousands of real files, with workers killed and frozen
	$(CARGO) build --release --locked --workspace --bins
	"$${CARGO_TARGET_DIR:-target}/release/main_job"

test: test-setup ## Run all tests, on real servers that they start themselves
	$(CARGO) build $(CHECKED) --bins
	$(CARGO) test $(CHECKED)

chaos: test-setup ## Do every harm to a fleet and check that nothing is lost; SCENARIO=... SEED=... for one of them
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS)

chaos-short: test-setup ## The same with one harm of each kind, in a few minutes
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS) --short

sim: toolchain ## Simulate fleets under every harm, in virtual time; SEED=... shows one run, SEEDS=... makes so many
	$(CARGO) test $(CHECKED) --test sim every_seed -- --nocapture

MINUTES ?= 20
chaos-soak: test-setup ## All harms at random, for MINUTES=20
	$(CARGO) build $(CHECKED) --bins
	$(CHAOS) --scenario everything --minutes $(MINUTES)

bench: setup ## Measure throughput and latency beside the physical floor of PostgreSQL, in five minutes
	$(BENCH_BUILD)
	$(BENCH) short

bench-all: setup ## Also growth, long lines, long history, an open snapshot, real commands; an hour; fills docs/performance.md
	$(BENCH_BUILD)
	for question in short growth claimers exec idle backlog history pinned; do $(BENCH) $$question || exit 1; done
	$(BENCH) write docs/performance.md --plots docs/images

bench-peers: setup ## Measure beside other queues, by a program that does: PEERS=path/to/it
	$(BENCH_BUILD)
	$(BENCH) peers $(if $(PEERS),--script '$(PEERS)')

bench-guard: test-setup ## Check that it is not slower than it was, by ratios to the floor; in two minutes
	$(CARGO) build $(CHECKED) --bins
	"$${CARGO_TARGET_DIR:-target}/debug/bench" --quiet-within 0 guard

ci: ## Do what CI does: format, tests, harms, speed, lints, licences, documentation
	$(CARGO) fmt --all --check
	$(MAKE) test
	$(MAKE) chaos-short
	$(MAKE) bench-guard
	$(MAKE) lint
	$(MAKE) deny
	$(MAKE) doc

setup: toolchain ## Install PostgreSQL and redis-server if they are missing (Debian, Ubuntu)
	@sh deploy/install-servers.sh

test-setup: toolchain ## The same, and what only tests want: PgBouncer and libfaketime
	@sh deploy/install-servers.sh --for-tests

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

clean: ## Remove what was built
	$(CARGO) clean
