#!/bin/bash
# images.sh base      builds what every node needs: pause and cluster DNS
# images.sh all       also proxy and operator (from `make build`) and the MCP server of the examples
# images.sh list      prints the archives that exist
# images.sh monitoring   builds Prometheus, its operator and their definitions, which no cluster has by itself; prints their folder
# An image is built again only when its inputs have changed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool/images
built=${CARGO_TARGET_DIR:-$repository/target}
limit_mb=25

# The first argument after -- names the files that the image is made of.
image() { # FOLDER NAME REFERENCE INPUT... -- ARGUMENT-OF-image.py...
  local folder=$1 name=$2 reference=$3 inputs=() sum
  shift 3
  while [ "$1" != -- ]; do inputs+=("$1") && shift; done
  shift
  mkdir -p "$folder"
  sum=$({ cat "$here/images/image.py" "${inputs[@]}"; echo "$reference" "$@"; } | sha256sum)
  if [ -e "$folder/$name.tar" ] && [ "$(cat "$folder/$name.inputs" 2>/dev/null)" = "$sum" ]; then
    echo "$reference  unchanged"
    return
  fi
  "$here/images/image.py" "$folder/$name.tar" "$reference" "$@"
  echo "$sum" >"$folder/$name.inputs"
}

base() {
  local coredns
  coredns=$("$here/tools.sh" coredns)/coredns
  mkdir -p "$cache"
  cc -Os -static -s -o "$cache/pause.$$" "$here/images/pause.c"
  mv "$cache/pause.$$" "$cache/pause"
  image "$cache" pause docker.io/local/pause:1 "$here/images/pause.c" -- --entrypoint '["/pause"]' "/pause=$cache/pause"
  image "$cache" coredns docker.io/local/coredns:1 "$coredns" -- --entrypoint '["/coredns"]' --user 0:0 "/coredns=$coredns"
}

program() { # NAME
  local file
  file=$built/$(rustc -vV | sed -n 's/^host: //p')/release/sessionpool-$1
  [ -x "$file" ] || { echo "$file is not there: run 'make build'" >&2; return 1; }
  image "$built/images" "$1" "docker.io/local/sessionpool-$1:dev" "$file" -- \
    --max-mb $limit_mb --entrypoint "[\"/sessionpool-$1\"]" "/sessionpool-$1=$file"
}

server_everything() {
  local folder node
  folder=$("$repository/tests/upstreams/npm/install.sh")
  node=$folder/node_modules/node/bin/node
  # The first process of a container gets no SIGTERM that it does not ask for, and the server does not ask.
  image "$cache" server-everything docker.io/local/server-everything:dev "$repository/tests/upstreams/npm/package-lock.json" -- \
    --entrypoint '["/usr/local/bin/node", "--import=data:text/javascript,process.on(\"SIGTERM\",()=>process.exit())", "/app/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "streamableHttp"]' \
    --env PORT=3001 "/usr/local/bin/node=$node" "/=ldd:$node" "/app/node_modules=$folder/modules"
}

# The definitions come from the types of the operator's own module.
monitoring() {
  local folder=${cache%/images}/monitoring tools prometheus operator reloader
  tools=$("$here/tools.sh" prometheus prometheus-operator prometheus-config-reloader controller-gen)
  prometheus=$(PATH=$tools command -v prometheus)
  operator=$(PATH=$tools command -v prometheus-operator)
  reloader=$(PATH=$tools command -v prometheus-config-reloader)
  image "$folder" prometheus docker.io/local/prometheus:dev "$prometheus" -- --entrypoint '["/bin/prometheus"]' "/bin/prometheus=$prometheus"
  image "$folder" operator docker.io/local/prometheus-operator:dev "$operator" -- --entrypoint '["/operator"]' "/operator=$operator"
  # The operator starts it by this path.
  image "$folder" reloader docker.io/local/prometheus-config-reloader:dev "$reloader" -- \
    --entrypoint '["/bin/prometheus-config-reloader"]' "/bin/prometheus-config-reloader=$reloader"
  if ! cmp -s "$here/tools/prometheus-operator/go.sum" "$folder/definitions.of"; then
    rm -rf "$folder/definitions"
    (cd "$here/tools/prometheus-operator" && PATH=$tools:$PATH GOFLAGS=-mod=readonly controller-gen crd:crdVersions=v1,generateEmbeddedObjectMeta=true \
      paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1 output:dir="$folder/definitions")
    install -m 644 "$here/tools/prometheus-operator/go.sum" "$folder/definitions.of"
  fi
}

case ${1:-all} in
  base) base ;;
  all) base && program proxy && program operator && server_everything ;;
  monitoring) monitoring >&2 && echo "${cache%/images}/monitoring" ;;
  list) find "$cache" "$built/images" -name '*.tar' 2>/dev/null || true ;;
  *) echo "images.sh base|all|monitoring|list" >&2; exit 2 ;;
esac
