#!/bin/bash
# needs.sh node|control-plane            installs the packages and builds the tools and images that such a cluster needs
# needs.sh --check node|control-plane    says what is missing, and fails; prints the PATH of the tools when nothing is
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check=()
if [ "$1" = --check ]; then check=(--check) && shift; fi

packages=(openssl curl util-linux)
tools=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl)
case $1 in
  control-plane) ;;
  node)
    packages+=(runc containernetworking-plugins nftables iptables iproute2 socat python3 build-essential)
    tools+=(kubelet kube-proxy containerd containerd-shim-runc-v2 ctr coredns)
    ;;
  *) echo "needs.sh [--check] node|control-plane" >&2; exit 2 ;;
esac
"$here/packages.sh" "${check[@]}" "${packages[@]}"
"$here/tools.sh" "${check[@]}" "${tools[@]}"
if [ "$1" = node ]; then
  if [ ${#check[@]} = 0 ]; then
    "$here/images.sh" base >&2
  elif ! "$here/images.sh" list | grep -q /coredns.tar; then
    echo "the images that every node needs are not built: run 'tests/cluster/images.sh base'" >&2
    exit 1
  fi
fi
