#!/bin/bash
# tools.sh NAME...          builds the named tools into the cache, if they are not there, and prints the PATH that holds them all
# tools.sh --check NAME...  the same without building: says what is missing and fails
#
# Each folder in tools/ is a Go module of its own ("family"): in one module they would change each other's dependencies.
# The cache folder of a family is keyed by its go.mod and go.sum. KUBEBUILDER_ASSETS, when set, is looked into first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool
say() { echo "tools: $*" >&2; }

family_of() {
  case $1 in
    kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl) echo kubernetes ;;
    containerd | containerd-shim-runc-v2 | ctr) echo containerd ;;
    etcd | coredns | helm | krew | prometheus | prometheus-operator) echo "$1" ;;
    promtool) echo prometheus ;;
    prometheus-config-reloader | controller-gen) echo prometheus-operator ;;
    *) say "there is no tool '$1' in tests/cluster/tools"; return 1 ;;
  esac
}

cache_of() { echo "$cache/$1-$(cat "$here/tools/$1/go.mod" "$here/tools/$1/go.sum" | sha256sum | cut -c1-12)"; }

package_of() {
  case $1 in
    kube*) echo "k8s.io/kubernetes/cmd/$1" ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    containerd* | ctr) echo "github.com/containerd/containerd/v2/cmd/$1" ;;
    coredns) echo github.com/coredns/coredns ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    krew) echo sigs.k8s.io/krew/cmd/krew ;;
    prometheus | promtool) echo "github.com/prometheus/prometheus/cmd/$1" ;;
    prometheus-operator) echo github.com/prometheus-operator/prometheus-operator/cmd/operator ;;
    prometheus-config-reloader) echo github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader ;;
    controller-gen) echo sigs.k8s.io/controller-tools/cmd/controller-gen ;;
  esac
}

# Without these /version says v0.0.0-master.
version_flags() {
  version() { go list -m -f '{{.Version}}' "$1"; }
  local v minor package
  case $1 in
    kubernetes)
      v=$(version k8s.io/kubernetes)
      IFS=. read -r _ minor _ <<<"$v"
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        echo -n " -X $package.gitVersion=$v -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
      done ;;
    helm) echo -n " -X helm.sh/helm/v4/internal/version.version=$(version helm.sh/helm/v4)" ;;
    containerd) echo -n " -X github.com/containerd/containerd/v2/version.Version=$(version github.com/containerd/containerd/v2)" ;;
  esac
}

# Sleeps in short steps so that it ends soon after the build does.
report_progress() { # FAMILY LOG PID
  local start=$SECONDS next=10
  while kill -0 "$3" 2>/dev/null; do
    sleep 0.5
    if ((SECONDS - start >= next)); then
      say "$1: $(grep -c '^[^ ]*/' "$2" || true) packages fetched or built, $((SECONDS - start)) s"
      next=$((next + 10))
    fi
  done
}

build() ( # FAMILY NAME...
  family=$1 out=$(cache_of "$1")
  shift
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock -n 9 || { say "$family: waiting for another build of it"; flock 9; }
  missing=()
  for name in "$@"; do [ -x "$out/$name" ] || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || exit 0
  command -v go >/dev/null || { say "Go is not installed: it builds ${missing[*]} (https://go.dev/dl, $(grep '^go ' "$here/tools/$family/go.mod") or newer)"; exit 1; }
  cd "$here/tools/$family"
  # Left by a build that was killed.
  rm -rf "$out"/.build.*
  work=$(mktemp -d "$out/.build.XXXXXX")
  builder=
  trap '[ -z "$builder" ] || kill "$builder" 2>/dev/null || true; rm -rf "$work"' EXIT
  start=$SECONDS
  say "$family: building ${missing[*]}"
  export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false"
  flags="-s -w$(version_flags "$family" 2>>"$work/log")"
  for name in "${missing[@]}"; do packages+=("$(package_of "$name")"); done
  mkdir "$work/bin"
  target=$work/bin/
  # Without the clients of every cloud; both programs with the same tags, so that they share what is compiled.
  [ "$family" != prometheus ] || tags=remove_all_sd,enable_kubernetes_sd
  # The main package of etcd has no name of its own.
  [ "$family" != etcd ] || target=$work/bin/etcd
  go build -v -trimpath -tags "${tags:-}" -ldflags "$flags" -o "$target" "${packages[@]}" >>"$work/log" 2>&1 9>&- &
  builder=$!
  report_progress "$family" "$work/log" "$builder" 9>&-
  local status=0
  wait "$builder" || status=$?
  builder=
  # Its main package is called operator.
  if [ -e "$work/bin/operator" ]; then mv "$work/bin/operator" "$work/bin/prometheus-operator"; fi
  [ $status = 0 ] || { tail -n 20 "$work/log" >&2; say "$family: the build failed (see above)"; exit 1; }
  for name in "${missing[@]}"; do mv "$work/bin/$name" "$out/$name"; done
  say "$family: built in $((SECONDS - start)) s"
)

check=0
if [ "${1:-}" = --check ]; then check=1 && shift; fi
declare -A wanted=()
folders=()
for name in "$@"; do
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
    folders=("$KUBEBUILDER_ASSETS" "${folders[@]}")
    continue
  fi
  family=$(family_of "$name")
  wanted[$family]+=" $name"
done
for family in "${!wanted[@]}"; do
  folder=$(cache_of "$family")
  if [ $check = 1 ]; then
    for name in ${wanted[$family]}; do
      [ -x "$folder/$name" ] || { say "$name is not built: run 'tests/cluster/tools.sh $*'"; exit 1; }
    done
  else
    # shellcheck disable=SC2086 # a list of names
    build "$family" ${wanted[$family]}
  fi
  folders+=("$folder")
done
printf '%s\n' "${folders[@]}" | awk '!seen[$0]++' | paste -sd:
