# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of the script that sources this, and for it
# Sourced by supervise.sh: a cluster with a node, in namespaces of its own, and its API server forwarded to loopback.
[ "$(id -u)" = 0 ] || { echo "a cluster with a node needs root; without: NODE=0 (control plane only)" >&2; exit 1; }
address_inside=https://10.99.0.1:6443

setpriv --pdeathsig KILL "$here/certs.sh" "$pki" "$address_inside" node1 10.99.0.1
sed "s#$address_inside#https://127.0.0.1:$port_api#" "$pki/admin.kubeconfig" >"$state/kubeconfig"
printf 'nameserver 10.96.0.10\n' >"$state/resolv.conf"
"$here/images.sh" list >"$state/images"
make_cgroups "$state" node1

start_part node1 unshare --net --mount --pid --uts --ipc --mount-proc --propagation private --kill-child=KILL \
  "$here/node-inside.sh" "$state" node1
wait_for 10 "the namespaces of node1" record_node_init "$state"
# The socket is a file, which both network namespaces see; its path may be longer than a socket's address can be.
start_part forward env -C "$state" socat "TCP-LISTEN:$port_api,bind=127.0.0.1,reuseaddr,fork" UNIX-CONNECT:api.sock
wait_for 180 "the node" test -e "$state/node1/ready"
