#!/bin/bash
# level.sh lint|unit|crd|chart|proxy|operator|docs|cluster: installs and builds what one level of tests needs, and runs it.
# The suites of a level are tests/tests/LEVEL*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

threads=$(nproc)
suites() { # LEVEL
  local path names=()
  for path in tests/tests/"$1"*; do
    if [ -f "$path" ] || [ -e "$path/main.rs" ]; then names+=(--test "$(basename "$path" .rs)"); fi
  done
  [ ${#names[@]} -gt 0 ] || { echo "there is no suite tests/tests/$1*" >&2; return 1; }
  # The tests wait for servers most of the time.
  RUST_TEST_THREADS=${RUST_TEST_THREADS:-$threads} cargo test --no-fail-fast -p tests "${names[@]}"
}

rest() { # the documented commands, and what tries the OpenAPI document
  tests/cluster/packages.sh curl python3-venv
  tests/upstreams/pypi/install.sh tests/schemathesis >/dev/null
}

programs() { cargo build --workspace --bins; }

upstreams() {
  tests/upstreams/npm/install.sh >/dev/null
  tests/cluster/packages.sh python3-venv
  tests/upstreams/pypi/install.sh >/dev/null
}

case $1 in
  lint)
    tests/cluster/packages.sh shellcheck
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy -p sessionpool-proxy --features shuttle --test interleavings -- -D warnings
    find . -name '*.sh' -not -path './target/*' -not -path '*/node_modules/*' -exec shellcheck {} +
    ;;
  unit)
    cargo test --workspace --exclude tests
    cargo test -p tests --lib --bins
    cargo test -p sessionpool-proxy --features shuttle --test interleavings
    ;;
  crd)
    tests/cluster/needs.sh control-plane >/dev/null
    suites crd
    ;;
  chart)
    tests/cluster/tools.sh helm promtool >/dev/null
    suites chart
    ;;
  proxy)
    upstreams
    rest
    tests/cluster/tools.sh promtool >/dev/null
    programs
    threads=6 suites proxy
    ;;
  operator)
    tests/cluster/needs.sh control-plane >/dev/null
    rest
    tests/cluster/tools.sh promtool >/dev/null
    tests/upstreams/npm/install.sh >/dev/null
    tests/browser/install.sh >/dev/null
    tests/cluster/tools.sh krew >/dev/null
    programs
    suites operator
    ;;
  docs)
    tests/cluster/needs.sh control-plane >/dev/null
    tests/cluster/tools.sh promtool helm >/dev/null
    tests/cluster/packages.sh curl openssl
    tests/upstreams/npm/install.sh >/dev/null
    programs
    suites docs
    ;;
  cluster)
    tests/cluster/needs.sh node >/dev/null
    tests/cluster/tools.sh helm >/dev/null
    upstreams
    make images
    tests/cluster/images.sh monitoring >/dev/null
    programs
    suites cluster
    ;;
  *)
    echo "there is no level '$1': lint, unit, crd, chart, proxy, operator, docs, cluster" >&2
    exit 2
    ;;
esac
