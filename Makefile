# What people and CI run. `make help` lists it; each target is one command, or a script that says what it does.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash
SECONDS_EACH ?= 60

.PHONY: help dist run demo build test test-all check fmt fmt-check lint deny bench fuzz-smoke fuzz doc clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dist: ## Every package for this platform, in dist/: tarball, .deb, npm, wheel, SBOM, checksums
	scripts/dist.sh

run: ## Build the gateway and serve on 127.0.0.1:8787 with the built-in defaults
	cargo run --locked --release -p codex-gateway --bin codex-gateway -- serve

demo: ## Build the gateway and serve days of made-up traffic to look at; nothing leaves this machine
	cargo run --locked --release -p codex-gateway --bin codex-gateway -- demo

build: ## Build the release binary, target/release/codex-gateway
	cargo build --locked --release -p codex-gateway

test: ## Every test that needs nothing but the Rust toolchain
	@scripts/timed.sh cargo test --locked --workspace

test-all: test ## All of those, and the tests with the real Codex CLI, OpenAI's libraries, PostgreSQL, Chromium and Prometheus, which it installs
	@scripts/timed.sh scripts/install-test-tools.sh node codex sdk
	@scripts/timed.sh cargo test --locked --workspace --test codex --test sdk
	@scripts/timed.sh scripts/with-postgres.sh cargo test --locked --workspace --test contract
	@scripts/timed.sh scripts/with-postgres.sh cargo test --locked --workspace --test replicas -- --test-threads 1
	@scripts/timed.sh env CODEX_GATEWAY_TEST_EXCHANGES=4000 scripts/with-postgres.sh cargo test --locked --workspace --test reconcile -- --nocapture the_ledger_equals
	@scripts/timed.sh scripts/try-openapi.sh
	@scripts/timed.sh scripts/try-pages.sh
	@scripts/timed.sh scripts/try-shells.sh
	@scripts/timed.sh python3 scripts/try-terminal.py $${CARGO_TARGET_DIR:-target}/debug
	@scripts/timed.sh scripts/install-test-tools.sh chromium
	@scripts/timed.sh python3 scripts/try-browser.py $${CARGO_TARGET_DIR:-target}/debug
	@scripts/timed.sh scripts/check-deploy.sh

check: ## Exactly what CI runs
	.ci/run

fmt: ## Format the code
	cargo fmt --all

fmt-check: ## Is the code formatted?
	cargo fmt --all --check

# The tests with the real Codex and the libraries are no default target, so the linter has to be told of them.
lint: ## Clippy, with warnings as errors
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test codex --test replicas --test sdk -- -D warnings

deny: ## Licences, sources and bans of dependencies; unused ones; spelling
	scripts/check-dependencies.sh

bench: ## Benchmarks: added latency and CPU time beside a direct call
	cargo bench --locked --workspace --benches

fuzz-smoke: ## The property tests with a hundred times as many cases
	PROPTEST_CASES=25600 cargo test --locked --release -p gateway-wire -p gateway-policy

fuzz: ## Every fuzz target for SECONDS_EACH=60 seconds; installs cargo-fuzz
	scripts/fuzz.sh $(SECONDS_EACH)

doc: ## The API documentation, target/doc; broken links are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

clean: ## Delete what was built; the installed test tools in tests/.tools stay
	cargo clean
