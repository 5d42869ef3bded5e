#!/bin/bash
# package.sh OUT TARGET=PROGRAM...: puts each program into an archive for krew, and the manifest beside them.
# TARGET is Rust's name of the platform. PLUGIN_URL is where the archives will be found, PLUGIN_HOMEPAGE what is read about them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
out=$1
shift
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
url=${PLUGIN_URL:-https://example.com/sessionpool/v$version}
homepage=${PLUGIN_HOMEPAGE:-$url}

# What krew calls the platform: GOOS and GOARCH.
platform_of() {
  local os arch
  case $1 in
    *-linux-*) os=linux ;;
    *-apple-darwin) os=darwin ;;
    *-windows-*) os=windows ;;
    *) echo "krew knows no platform like $1" >&2; return 1 ;;
  esac
  case $1 in
    x86_64-*) arch=amd64 ;;
    aarch64-*) arch=arm64 ;;
    *) echo "krew knows no platform like $1" >&2; return 1 ;;
  esac
  echo "$os $arch"
}

mkdir -p "$out"
manifest=$out/sessionpool.yaml
escaped() { printf '%s' "$1" | sed 's/[&|\\]/\\&/g'; }
sed -e '/^#/d' -e "s|vVERSION|v$version|" -e "s|HOMEPAGE|$(escaped "$homepage")|" "$here/sessionpool.yaml" >"$manifest.new"
for pair in "$@"; do
  target=${pair%%=*} program=${pair#*=}
  read -r os arch <<<"$(platform_of "$target")"
  bin=kubectl-sessionpool
  [ "$os" != windows ] || bin=kubectl-sessionpool.exe
  archive=kubectl-sessionpool_v${version}_${os}_${arch}.tar.gz
  work=$(mktemp -d "$out/.package.XXXXXX")
  trap 'rm -rf "$work" "$manifest.new"' EXIT
  install -m 755 "$program" "$work/$bin"
  install -m 755 "$here/../completion/kubectl_complete-sessionpool" "$work/"
  install -m 644 "$root/LICENSE" "$work/"
  # The same program gives the same archive.
  tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | gzip -n >"$work.tar.gz"
  mv "$work.tar.gz" "$out/$archive"
  rm -rf "$work"
  sum=$(sha256sum "$out/$archive" | cut -d' ' -f1)
  cat >>"$manifest.new" <<END
    - selector:
        matchLabels:
          os: $os
          arch: $arch
      uri: $url/$archive
      sha256: $sum
      bin: $bin
END
  echo "$out/$archive"
done
mv "$manifest.new" "$manifest"
trap - EXIT
echo "$manifest"
