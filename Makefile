# Development tasks; `make help` lists them. What they do is in the scripts they call.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export CLUSTER ?= default
NODE ?= 1
CMD ?=
ARGS ?=

cluster := tests/cluster
mode := $(if $(filter 0,$(NODE)),control-plane,node)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Try it
.PHONY: demo demo-down try
demo: ## a SessionPool on a real cluster, from nothing; CLUSTER=current uses your kubeconfig's cluster
	@tests/demo/demo.sh up

demo-down: ## removes what demo made
	@tests/demo/demo.sh down

try: ## the proxy alone, without a cluster
	@tests/demo/try.sh

##@ Build
.PHONY: build build-proxy images plugin crds chart docs
# `=`: rustc is asked only when something is built.
host = $(shell rustc -vV | sed -n 's/^host: //p')
static = RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target $(host)

build: ## static release binaries of proxy and operator
	$(static) -p sessionpool-proxy -p sessionpool-operator --bins

build-proxy: # the proxy alone
	$(static) -p sessionpool-proxy --bins

images: build ## container images as OCI archives, without Docker
	$(cluster)/packages.sh python3 build-essential
	$(cluster)/images.sh all

# Others need a toolchain of their own; the program is static where that is Linux'.
PLUGIN_TARGETS ?= $(host)
plugin: ## the kubectl plugin: archives and krew manifest in target/plugin (PLUGIN_TARGETS, PLUGIN_URL)
	for target in $(PLUGIN_TARGETS); do \
	  case $$target in *-linux-*) flags='-C target-feature=+crt-static' ;; *) flags= ;; esac; \
	  RUSTFLAGS=$$flags cargo build --release --locked --target $$target -p kubectl-sessionpool --bins; \
	done
	operator/plugin/krew/package.sh target/plugin $(foreach target,$(PLUGIN_TARGETS),$(target)=$(or $(CARGO_TARGET_DIR),target)/$(target)/release/kubectl-sessionpool$(if $(findstring windows,$(target)),.exe))

docs: ## writes the reference in docs/reference from the code
	$(cluster)/needs.sh control-plane >/dev/null
	cargo build --workspace --bins
	$(or $(CARGO_TARGET_DIR),target)/debug/docs

crds: ## writes crds/sessionpool.yaml from the Rust types, and the chart's copies of it, of the roles and of the policies
	cargo run --quiet -p crds --bin crdgen > target/sessionpool.yaml
	mv target/sessionpool.yaml crds/sessionpool.yaml
	cp crds/sessionpool.yaml charts/sessionpool/files/
	cp operator/roles/*.yaml charts/sessionpool/files/roles/
	cp operator/policies/*.yaml charts/sessionpool/files/policies/

chart: ## writes the chart's README and the descriptions in its schema from the comments in values.yaml
	@cargo run --quiet -p tests --bin chart_docs

##@ Cluster
.PHONY: cluster-up cluster-down cluster-shell
cluster-up: ## a cluster named CLUSTER; NODE=0: control plane only, without root
	@$(cluster)/up.sh $(CLUSTER) $(mode)

cluster-down: ## ends the cluster and removes what it left
	@$(cluster)/down.sh $(CLUSTER)

cluster-shell: ## a shell, or CMD='...', in the cluster's network with KUBECONFIG set
	@$(cluster)/shell.sh $(CLUSTER) $(if $(value CMD),bash -c '$(subst ','\'',$(value CMD))')

##@ Check
.PHONY: test test-unit test-crd test-proxy test-chart test-operator test-docs test-cluster contract lint fmt deny bench bench-pool bench-operator
test: ## everything below, in order, with a summary
	@tests/run.sh lint unit crd chart proxy operator docs cluster

test-unit: ## unit tests of every crate
	@tests/run.sh unit

test-crd: ## the API types against a real API server
	@tests/run.sh crd

test-chart: ## what Helm makes of the chart, and its alerts
	@tests/run.sh chart

test-proxy: ## the proxy against real MCP servers
	@tests/run.sh proxy

test-operator: ## the operator on a real control plane
	@tests/run.sh operator

test-docs: ## links, manifests, commands and the reference in the documentation
	@tests/run.sh docs

test-cluster: ## all of it on a real node; needs root
	@tests/run.sh cluster

contract: ## the documented contract, row by row
	@$(cluster)/tools.sh promtool >/dev/null
	cargo build -p sessionpool-proxy
	@tests/contract.sh

lint: ## formatting, clippy and shellcheck
	@tests/run.sh lint

fmt: ## formats the Rust code
	cargo fmt --all

deny: ## licences, bans, sources and advisories of the dependencies
	@tests/deny.sh

bench: build-proxy ## what pooling gains and costs: direct, pooled, nginx (4 min; ARGS=--quick: 1 min); also target/bench.json
	$(cluster)/packages.sh nginx-light python3-venv
	tests/upstreams/npm/install.sh >/dev/null
	tests/upstreams/pypi/install.sh >/dev/null
	SESSIONPOOL_BIN_DIR=$(or $(CARGO_TARGET_DIR),target)/$(host)/release RUSTFLAGS='-C target-feature=+crt-static' cargo run --release --locked --target $(host) -p tests --bin bench -- --json $(or $(CARGO_TARGET_DIR),target)/bench.json $(ARGS)

bench-pool: ## checkout and check-in of an idle slot, beside a semaphore
	cargo bench --locked -p sessionpool-proxy --bench checkout

bench-operator: ## 1,000 pools: time until all are reconciled, writes at rest, memory
	$(cluster)/needs.sh control-plane >/dev/null
	$(static) -p sessionpool-operator --bins
	cargo build --locked -p tests --bin bench_operator
	SESSIONPOOL_BIN_DIR=$(or $(CARGO_TARGET_DIR),target)/$(host)/release $(or $(CARGO_TARGET_DIR),target)/debug/bench_operator

##@ Clean
.PHONY: clean-cache
clean-cache: ## removes built tools and images (not Go's and Cargo's own caches)
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/sessionpool"
