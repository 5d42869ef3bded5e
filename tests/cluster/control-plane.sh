# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of the script that sources this, and for it
# Sourced: start_api and then start_controllers start etcd, API server, controller manager and scheduler as parts and wait until they serve.
# Needs $here (this folder), $state, $pki (folder of certificates), $address (where the API server listens), $advertise, and the ports $port_api, $port_etcd, $port_etcd_peer,
# $port_controller_manager, $port_scheduler.

kube() { kubectl --kubeconfig "$pki/admin.kubeconfig" "$@"; }

start_etcd() {
  local client=http://127.0.0.1:$port_etcd peer=http://127.0.0.1:$port_etcd_peer
  start_part etcd etcd --name main --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "main=$peer"
}

start_apiserver() { # EXTRA-FLAG...
  start_part kube-apiserver kube-apiserver --bind-address="$address" --secure-port="$port_api" --advertise-address="$advertise" "$@" \
    --etcd-servers="http://127.0.0.1:$port_etcd" --client-ca-file="$pki/ca.crt" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$pki/service-account.pub" --service-account-signing-key-file="$pki/service-account.key" \
    --requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
    --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --audit-policy-file="$here/conf/audit.yaml" --audit-log-path="$state/log/audit.log" \
    --allow-privileged=true --enable-aggregator-routing=true --v=1
}

# The volume plugin folder's default would be made on the host. With the default --kube-api-qps the first service account takes 5 s.
start_controller_manager() {
  start_part kube-controller-manager kube-controller-manager --secure-port="$port_controller_manager" --bind-address=127.0.0.1 \
    --kubeconfig="$pki/controller-manager.kubeconfig" --authentication-kubeconfig="$pki/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$pki/controller-manager.kubeconfig" --requestheader-client-ca-file="$pki/front-proxy-ca.crt" \
    --service-account-private-key-file="$pki/service-account.key" --root-ca-file="$pki/ca.crt" \
    --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
    --use-service-account-credentials=true --leader-elect=false --kube-api-qps=300 --kube-api-burst=500 \
    --node-monitor-period=1s --node-monitor-grace-period=50s --flex-volume-plugin-dir="$state/volume-plugins" --v=1
}

start_scheduler() {
  local config=$pki/scheduler.kubeconfig
  start_part kube-scheduler kube-scheduler --secure-port="$port_scheduler" --bind-address=127.0.0.1 --kubeconfig="$config" \
    --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" --leader-elect=false \
    --kube-api-qps=300 --kube-api-burst=500 --v=1
}

start_api() { # EXTRA-FLAG-OF-THE-API-SERVER...
  start_etcd
  wait_for 30 etcd curl -fsS "http://127.0.0.1:$port_etcd/health"
  start_apiserver "$@"
  wait_for 60 "the API server" kube get --raw /readyz
}

start_controllers() {
  start_controller_manager
  start_scheduler
  wait_for 60 "the controller manager" curl -fsSk "https://127.0.0.1:$port_controller_manager/healthz"
  wait_for 60 "the scheduler" curl -fsSk "https://127.0.0.1:$port_scheduler/readyz"
  wait_for 60 "the default service account" kube get serviceaccount default
}
