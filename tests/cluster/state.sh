# shellcheck shell=bash
# Sourced: where a cluster keeps its state, and how what it started is removed.

# A name, or a folder when it holds a slash.
state_of() { # NAME-OR-FOLDER
  case $1 in
    */*) realpath -m "$1" ;;
    *) echo "${XDG_STATE_HOME:-$HOME/.local/state}/sessionpool/$1" ;;
  esac
}

# Containers of a cluster live under cgroups of this name, so that two clusters never touch each other's.
cgroup_of() { echo "sessionpool-$(sha256sum <<<"$1" | cut -c1-12)"; } # STATE

# Each hierarchy of cgroup v1, or the one of v2.
cgroup_hierarchies() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 ~ /^cgroup2?$/ && $2 ~ /^\/sys\/fs\/cgroup/ {print $2}' /proc/mounts
  fi
}

# Makes the cgroup below which the kubelet of NODE puts its pods.
make_cgroups() { # STATE NODE
  local name hierarchy path part
  name=$(cgroup_of "$1")
  for hierarchy in $(cgroup_hierarchies); do
    path=$hierarchy
    for part in "$name" "$2"; do
      # Version 2: what the level above hands on. Version 1: a cpuset without processors takes no process.
      if [ -e "$path/cgroup.controllers" ] && [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        sed 's/^/+/; s/ / +/g' "$path/cgroup.controllers" >"$path/cgroup.subtree_control" ||
          { echo "can't hand cgroup controllers on in $path: run this outside of a container, or with a cgroup namespace of its own" >&2; return 1; }
      fi
      mkdir -p "$path/$part"
      if [ -e "$path/cpuset.mems" ] && [ ! -e "$path/cgroup.controllers" ]; then
        cat "$path/cpuset.cpus" >"$path/$part/cpuset.cpus"
        cat "$path/cpuset.mems" >"$path/$part/cpuset.mems"
      fi
      path=$path/$part
    done
  done
}

remove_cgroups() { # STATE
  local name left hierarchy
  name=$(cgroup_of "$1")
  for _ in $(seq 50); do
    left=0
    for hierarchy in $(cgroup_hierarchies); do
      [ -d "$hierarchy/$name" ] || continue
      find "$hierarchy/$name" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ ! -d "$hierarchy/$name" ] || left=1
    done
    [ $left = 1 ] || return 0
    sleep 0.1
  done
  echo "cgroup $name is still in use" >&2
  return 1
}

# Ends every process that the cluster in STATE recorded and removes what it left. The logs move to STATE.last, into folders as they are in STATE.
remove_state() { # STATE
  local state=$1 file pid
  [ -d "$state" ] || return 0
  record_node_init "$state" 2>/dev/null || true
  for file in "$state"/pid/*; do
    [ -e "$file" ] || continue
    if pid=$(recorded "$file"); then kill -KILL "$pid" 2>/dev/null || true; fi
  done
  for file in "$state"/pid/*; do
    [ -e "$file" ] || continue
    for _ in $(seq 100); do
      recorded "$file" >/dev/null || break
      sleep 0.05
    done
  done
  remove_cgroups "$state"
  # Without a log, an earlier attempt at this has moved them.
  if [ -d "$state/log" ]; then
    rm -rf "$state.last"
    mkdir "$state.last"
    for file in "$state"/node*/log; do
      [ -d "$file" ] || continue
      mkdir "$state.last/$(basename "${file%/log}")"
      mv "$file" "$state.last/$(basename "${file%/log}")/"
    done
    mv "$state/log" "$state.last/"
  fi
  # The processes of a node end a moment after the one that was waited for, and may still write.
  for _ in $(seq 50); do
    rm -rf "$state" 2>/dev/null && return
    sleep 0.1
  done
  rm -rf "$state"
}
