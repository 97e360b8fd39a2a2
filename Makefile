# The words of the house. CI and the workflows call these and nothing else.
# Prerequisites: git, make, a C compiler, rustup. Everything else is installed here, by package name.

CARGO   ?= cargo
BIN     := target/release/hodoscope
GUESTS  := target/guests/robust-zscore.wasm
GROUP   ?=

export HODOSCOPE_BIN := $(abspath $(BIN))

.PHONY: help build guests check unit docs test verify demo bench bench-drift clean chart cluster infra image workflows observe

help: ## show these words
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

build: ## the executable, in target/release/hodoscope
	$(CARGO) build --release --workspace --locked

target/.toolchain: ## rustup's parts, once
	@mkdir -p target
	rustup target add wasm32-unknown-unknown
	rustup component add clippy rustfmt
	@touch $@

guests: target/.toolchain build ## the detectors written by hand, as components in target/guests
	@mkdir -p target/guests
	$(BIN) build detectors/robust-zscore --out target/guests/robust-zscore.wasm

check: target/.toolchain ## formats and lints, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --release --target wasm32-unknown-unknown -p hodoscope-robust-zscore --locked -- -D warnings

unit: guests ## unit, integration and documentation tests; examples are built, for some tests start them
	$(CARGO) test --release --workspace --locked --no-fail-fast

docs: target/.toolchain ## the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --locked --no-deps --quiet

test: check unit docs ## the one command before every commit

verify: build guests ## heavy checks against real counterparts: make verify GROUP=s3 (default: all)
	@verify/run $(GROUP)

chart: ## the Kubernetes chart and Argo CD's objects, by the real tools
	@verify/chart/run

cluster: ## the same, given to a real API server, which is built once (11 minutes on two cores)
	@verify/cluster/run

infra: ## Terraform: format, policies' tests, schemas, linters
	@verify/infra/run

image: ## the container image, of one static executable: without a daemon where buildah is there, else with docker
	@image/build

workflows: ## actionlint, shellcheck, zizmor, and the workflows' own scripts
	@verify/workflows/run

observe: build ## alerts and dashboards: by promtool, Grafana's types, and a real Prometheus that scrapes a real host
	@verify/observe/run

demo: build ## the whole story in two minutes
	@host/demo/run

bench: build ## one table: ours beside the peers, same run, same machine
	@host/bench/run

bench-drift: ## drift replayed on real rows: false retrains, what is found and missed, Evidently beside it
	@verify/drift/bench

clean: ## remove what make made
	$(CARGO) clean
