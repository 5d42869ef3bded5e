#!/bin/bash
# certs.sh DIR SERVER-URL NODE NODE-IP   a CA, every client and serving certificate, and kubeconfigs for a cluster
# certs.sh --node DIR SERVER-URL NODE NODE-IP   those of one more node
set -euo pipefail
days=30

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

ca() { # NAME COMMON-NAME
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days $days -out "$1.crt"
}

sign() { # NAME SUBJECT USAGE ALT-NAMES [CA]
  local ca=${5:-ca}
  key "$1"
  {
    echo "extendedKeyUsage=$3"
    echo "keyUsage=digitalSignature,keyEncipherment"
    [ -z "$4" ] || echo "subjectAltName=$4"
  } >"$1.ext"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA "$ca.crt" -CAkey "$ca.key" -days $days -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.ext"
}

kubeconfig() { # NAME SUBJECT
  sign "$1" "$2" clientAuth ""
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: sessionpool, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: sessionpool, context: {cluster: sessionpool, user: $1}}]
current-context: sessionpool
YAML
}

node() { # NAME IP
  sign "$1-serving" "/O=system:nodes/CN=system:node:$1" serverAuth "IP:$2,DNS:$1"
  kubeconfig "$1" "/O=system:nodes/CN=system:node:$1"
}

umask 077
if [ "$1" = --node ]; then
  cd "$2"
  server=$3
  node "$4" "$5"
  exit
fi
mkdir -p "$1"
cd "$1"
server=$2 node_name=$3 node_ip=$4
ca ca sessionpool-ca
ca front-proxy-ca sessionpool-front-proxy-ca
sign apiserver /CN=kube-apiserver serverAuth "IP:127.0.0.1,IP:10.96.0.1,IP:$node_ip,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local" &
sign apiserver-kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client" clientAuth "" &
sign front-proxy-client /CN=front-proxy-client clientAuth "" front-proxy-ca &
{
  openssl genrsa -out service-account.key 2048
  openssl rsa -in service-account.key -pubout -out service-account.pub 2>/dev/null
} &
kubeconfig admin "/O=system:masters/CN=admin" &
kubeconfig controller-manager /CN=system:kube-controller-manager &
kubeconfig scheduler /CN=system:kube-scheduler &
kubeconfig kube-proxy /CN=system:kube-proxy &
node "$node_name" "$node_ip" &
for job in $(jobs -p); do wait "$job"; done
