#!/bin/bash
# packages.sh PACKAGE...          installs the Debian packages that are missing; needs root only then
# packages.sh --check PACKAGE...  the same without installing: says what is missing and fails
set -euo pipefail
say() { echo "packages: $*" >&2; }

# A file or command that shows that the package is there, so that machines without dpkg work too.
present() {
  case $1 in
    containernetworking-plugins) [ -x "${CNI_BIN:-/usr/lib/cni}/bridge" ] ;;
    nftables) command -v nft ;;
    iproute2) command -v ip ;;
    nginx-light) command -v nginx ;;
    util-linux) command -v unshare && command -v nsenter && command -v setpriv && command -v flock ;;
    busybox-static) command -v busybox ;;
    build-essential) command -v cc ;;
    python3-venv) python3 -c 'import venv, ensurepip' ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

check=0
if [ "${1:-}" = --check ]; then check=1 && shift; fi
missing=()
for package in "$@"; do present "$package" || missing+=("$package"); done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ $check = 1 ]; then
  say "missing: ${missing[*]}; run 'tests/cluster/packages.sh ${missing[*]}' as root"
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  say "missing, and this is no Debian machine, so install them yourself: ${missing[*]}"
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  say "missing: ${missing[*]}; run 'apt-get install ${missing[*]}' as root"
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
say "installing ${missing[*]}"
install() { apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
# Another apt on the machine holds the lock for a while at most.
apt_update() { apt-get -o DPkg::Lock::Timeout=120 update >>"$log" 2>&1; }
install || { say "reading the package lists" && apt_update && install; } || {
  tail -n 15 "$log" >&2
  say "could not install ${missing[*]} (see above)"
  exit 1
}
say "installed in $((SECONDS - start)) s"
