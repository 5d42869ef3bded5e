#!/bin/bash
# node-inside.sh CLUSTER-STATE NODE: pid 1 of a node's namespaces. node1 also runs the control plane.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
. "$here/control-plane.sh"
. "$here/node-mounts.sh"
cluster=$1 node=$2
state=$cluster/$node pki=$cluster/pki
number=${node#node}
if [ "$node" = node1 ]; then ip=10.99.0.1 subnet=10.244.0.0/24; else ip=10.99.0.$((10 + number)) subnet=10.244.$number.0/24; fi
mkdir -p "$state"/{log,pid,cni}
rm -f "$state"/{ready,base-imported}

render() { # TEMPLATE FILE
  sed "s#@STATE@#$state#g; s#@PKI@#$pki#g; s#@NODE@#$node#g; s#@IP@#$ip#g; s#@SUBNET@#$subnet#g; s#@PROXYMODE@#${PROXY_MODE:-nftables}#g
    s#@CGROUP@#$(cgroup_of "$cluster")/$node#g; s#@CNIBIN@#${CNI_BIN:-/usr/lib/cni}#g; s#@RUNC@#$(command -v runc)#g" "$here/conf/$1" >"$2"
}

network_of_node1() {
  # The default route leads nowhere, on purpose; without one the kubelet finds no address.
  ip link add node0 type bridge
  ip addr add "$ip/24" dev node0
  ip link set node0 up
  ip route add default via 10.99.0.2 dev node0
}

# add-node-inside.sh puts one end of a veth pair here.
network_of_further_node() {
  wait_for 30 "the node's link" ip link show eth0
  ip addr add "$ip/24" dev eth0
  ip link set eth0 up
  ip route add default via 10.99.0.1
  ip route add 10.244.0.0/24 via 10.99.0.1
}

import_archive() { ctr -n k8s.io images import "$1" </dev/null >>"$state/log/import.log" 2>&1; } # ARCHIVE

import_archives() {
  local archive
  while read -r archive; do
    # On a busy machine containerd may give up in the middle.
    import_archive "$archive" || import_archive "$archive" || { echo "can't import $archive: see import.log" >&2; return 1; }
  done
}

# Those that every node needs come first: a pod that is started before they are there is tried again only after 10 s.
import_images() {
  wait_for 30 containerd ctr version
  grep -E '/(pause|coredns)[.]tar$' "$cluster/images" | import_archives
  touch "$state/base-imported"
  { grep -vE '/(pause|coredns)[.]tar$' "$cluster/images" || true; } | import_archives
}

hostname "$node"
private_mounts "$state"
cp "$cluster/resolv.conf" "$state/resolv.conf"
shell_resolver "$state"
hide_sysctls "$state"
ip link set lo up
if [ "$node" = node1 ]; then network_of_node1; else network_of_further_node; fi
echo 1 >/proc/sys/net/ipv4/ip_forward

render kubelet.yaml "$state/kubelet.yaml"
render kube-proxy.yaml "$state/kube-proxy.yaml"
render containerd.toml "$state/containerd.toml"
render 10-bridge.conflist "$state/cni/10-bridge.conflist"

start_part containerd containerd -c "$state/containerd.toml"
import_images &
import=$!
if [ "$node" = node1 ]; then
  address=0.0.0.0 advertise=$ip port_api=6443 port_etcd=2379 port_etcd_peer=2380 port_controller_manager=10257 port_scheduler=10259
  start_part forward env -C "$cluster" socat UNIX-LISTEN:api.sock,fork,unlink-early "TCP:$ip:6443"
  start_api --endpoint-reconciler-type=lease
fi
wait_for 120 "the images of every node" test -e "$state/base-imported"
start_part kubelet kubelet --config="$state/kubelet.yaml" --kubeconfig="$pki/$node.kubeconfig" --hostname-override="$node" --node-ip="$ip" \
  --root-dir=/var/lib/kubelet --v=2
start_part kube-proxy kube-proxy --config="$state/kube-proxy.yaml" --v=1
if [ "$node" = node1 ]; then
  kube apply -f "$here/conf/dns.yaml" >>"$state/log/dns.log" 2>&1
  start_controllers
fi
wait "$import"
wait_for 90 "node $node to be ready" kube wait --for=condition=Ready "node/$node" --timeout=5s
if [ "$node" = node1 ]; then wait_for 120 "cluster DNS" kube -n kube-system rollout status deployment/coredns --timeout=5s; fi
touch "$state/ready"
keep_parts
