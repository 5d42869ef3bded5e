# shellcheck shell=bash
# Sourced inside a node's mount namespace: private copies of the places that a node writes to, so that nothing of the host changes.

# An overlay gives the mount points, which the host may not have; its upper folder is gone with the namespace.
private_folder() { # PARENT NAME...
  local parent=$1 upper
  shift
  upper=/run/sessionpool/$(basename "$parent")
  mkdir -p "$upper"/{new,work}
  (cd "$upper/new" && mkdir -p "$@")
  mount -t overlay overlay -o "lowerdir=$parent,upperdir=$upper/new,workdir=$upper/work" "$parent"
}

private_mounts() { # STATE
  local folder
  mount --make-rshared /
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/containerd /run/netns
  private_folder /var/lib containerd kubelet cni
  private_folder /var/log pods containers
  # containerd's own overlays can't lie on an overlay: these are folders of the state.
  for folder in /var/lib/containerd /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers; do
    mkdir -p "$1/files$folder"
    mount --bind "$1/files$folder" "$folder"
    mount --make-rshared "$folder"
  done
}

# Commands that are run inside the cluster's network find Services by name, as pods of the namespace default do.
shell_resolver() { # STATE
  local target
  target=$(realpath -m /etc/resolv.conf)
  mkdir -p "$(dirname "$target")"
  [ -e "$target" ] || touch "$target"
  { echo "search default.svc.cluster.local svc.cluster.local cluster.local"; cat "$1/resolv.conf"; echo "options ndots:5"; } >"$1/shell-resolv.conf"
  mount --bind "$1/shell-resolv.conf" "$target"
}

# The kubelet writes these, which are the whole machine's; it gets files that already hold what it wants.
hide_sysctls() { # STATE
  local setting name
  mkdir -p "$1/sysctl"
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
    name=${setting%=*}
    echo "${setting#*=}" >"$1/sysctl/${name//\//_}"
    mount --bind "$1/sysctl/${name//\//_}" "/proc/sys/$name"
  done
}
