# shellcheck shell=bash
# Sourced: parts (child processes that are started again when they end) and processes known by pid and start time.

# Part of a process's identity, since a pid is used again. Fails for a process that has ended, also when nobody has reaped it yet.
start_time() { # PID
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The second field is the program's name in parentheses, which may hold anything.
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != [ZX] ]] && echo "${fields[19]}"
}

record() { echo "$1 $(start_time "$1")" >"$2"; } # PID FILE

# Prints the pid in FILE if that very process still runs.
recorded() { # FILE
  local pid start
  read -r pid start 2>/dev/null <"$1" || return 1
  [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ] && echo "$pid"
}

wait_for() { # SECONDS WHAT COMMAND...
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= limit)); then
      echo "gave up waiting for $what; the logs are in ${state:-.}/log" >&2
      return 1
    fi
    parts_run || return 1
    sleep 0.1
  done
}

declare -A part_command=() part_name=()

# A part dies with this shell, however it dies, also when that was before the part could ask for it.
# Its log is $state/log/NAME.log.
start_part() { # NAME COMMAND...
  local name=$1
  shift
  part_command[$name]=$(printf '%q ' "$@")
  # shellcheck disable=SC2016 # for the inner shell
  setpriv --pdeathsig KILL sh -c '[ "$PPID" = "$0" ] && exec "$@"' $$ "$@" </dev/null >>"$state/log/$name.log" 2>&1 9>&- &
  part_name[$!]=$name
  record $! "$state/pid/$name"
}

parts_run() {
  local pid
  for pid in "${!part_name[@]}"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      echo "${part_name[$pid]} ended; the end of its log:" >&2
      tail -n 5 "$state/log/${part_name[$pid]}.log" >&2
      return 1
    fi
  done
}

# Starts parts again that end, until a process that is no part ends.
keep_parts() {
  local ended status
  while :; do
    status=0
    wait -n -p ended || status=$?
    [ -n "${ended:-}" ] || return 0
    local name=${part_name[$ended]:-}
    [ -n "$name" ] || return 0
    unset "part_name[$ended]"
    echo "$(date +%T) $name ended with $status; it is started again" >>"$state/log/parts.log"
    sleep 0.2
    eval "start_part $name ${part_command[$name]}"
  done
}

kill_parts() {
  local pid
  for pid in "${!part_name[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${!part_name[@]}"; do wait "$pid" 2>/dev/null || true; done
  part_name=()
}

# Host pid of node1's first process: the only child of unshare.
node_init() { # STATE
  local unshare init
  unshare=$(recorded "$1/pid/node1") && init=$(tr -d " " <"/proc/$unshare/task/$unshare/children") && [ -n "$init" ] && echo "$init"
}

# When this process has ended, so has every other one of the node.
record_node_init() { # STATE
  local init
  init=$(node_init "$1") && record "$init" "$1/pid/node1-init"
}
