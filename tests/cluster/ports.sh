# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables of the script that sources this, and for it
# Sourced: claim_ports takes a block of loopback ports that no other cluster of this user has, for as long as this shell lives.
# The blocks lie below the kernel's range for outgoing connections and for port 0.

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sets the ports; descriptor 9 holds the claim, so no child may keep it open.
claim_ports() {
  local folder=/tmp/sessionpool-ports-$UID block first port taken
  mkdir -p "$folder"
  for block in $(seq 0 499 | shuf); do
    exec 9>"$folder/$block"
    if flock -n 9; then
      first=$((20000 + block * 10)) taken=0
      for port in $(seq "$first" $((first + 4))); do
        if port_answers "$port"; then taken=1; fi
      done
      if [ $taken = 0 ]; then
        port_api=$first port_etcd=$((first + 1)) port_etcd_peer=$((first + 2))
        port_controller_manager=$((first + 3)) port_scheduler=$((first + 4))
        return 0
      fi
    fi
    exec 9>&-
  done
  echo "no free block of ports between 20000 and 25000 on loopback" >&2
  return 1
}
