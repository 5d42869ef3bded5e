#!/bin/bash
# try.sh: the proxy alone on loopback, between a real MCP server and real MCP clients. Ends what it started.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cd "$repository"
. "$here/say.sh"

step "Installing the MCP server (npm) and the MCP client (PyPI)"
tests/cluster/packages.sh curl npm
npm=$(tests/upstreams/npm/install.sh)
python=$(tests/upstreams/pypi/install.sh)/bin/python

step "Building the proxy"
make build-proxy
proxy=${CARGO_TARGET_DIR:-target}/$(rustc -vV | sed -n 's/^host: //p')/release/sessionpool-proxy

work=$(mktemp -d)
started=()
finish() {
  if [ ${#started[@]} -gt 0 ]; then kill "${started[@]}" 2>/dev/null || true; wait "${started[@]}" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

step "Starting server-everything and the proxy in front of it"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PORT=$port "$npm/node_modules/node/bin/node" "$npm/modules/@modelcontextprotocol/server-everything/dist/index.js" \
  streamableHttp >"$work/server.log" 2>&1 &
started+=($!)
sed "s#127.0.0.1:3001#127.0.0.1:$port#" examples/standalone.yaml >"$work/pool.yaml"
"$proxy" --config "$work/pool.yaml" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --log-format json 2>"$work/proxy.log" &
started+=($!)
address() { sed -n "s/.*\"listening\".*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/proxy.log"; }
wait_for 30 "the proxy to be ready" ready_at address
mcp=$(address mcp) admin=$(address admin)
echo "clients connect to http://$mcp/mcp"

step "20 MCP clients make 200 calls"
"$python" tests/demo/client.py "http://$mcp/mcp" --clients 20 --calls 200

step "The pool's statistics"
statistics "$(curl -fsS "http://$admin/pool/stats")"
step "Its metrics, for Prometheus"
curl -fsS "http://$admin/metrics" | demo_metrics

cat <<TEXT

What to try next, each in a shell of its own
  the server     PORT=3001 $npm/node_modules/node/bin/node $npm/modules/@modelcontextprotocol/server-everything/dist/index.js streamableHttp
  the proxy      $proxy --config examples/standalone.yaml
  the clients    $python tests/demo/client.py http://127.0.0.1:8080/mcp
  what it did    curl http://127.0.0.1:9090/pool/stats   (also /pool/sessions, /metrics)
  a cluster      make demo
TEXT
