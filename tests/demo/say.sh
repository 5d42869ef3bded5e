# shellcheck shell=bash
# Sourced by the demo's scripts: what they print, and waiting.

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

wait_for() { # SECONDS WHAT COMMAND...: polls, and says what was waited for in vain
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then echo "waited in vain for $what" >&2; return 1; fi
    sleep 0.2
  done
}

ready_at() { # FUNCTION: whether the proxy whose address the function gives is ready
  curl -fsS "http://$("$1" admin)/readyz"
}

statistics() { # JSON
  python3 - "$1" <<'PYTHON'
import json, sys
stats = json.loads(sys.argv[1])
shown = ["server_id", "strategy", "status", "total_sessions", "active_sessions", "available_sessions", "unhealthy_sessions",
         "min_size", "max_size", "total_acquisitions", "total_releases", "total_timeouts", "total_creates", "total_destroys"]
for name in shown:
    print(f"  {name:<20} {stats[name]}")
print(f"{stats['total_acquisitions']} requests were served over {stats['total_creates']} sessions.")
PYTHON
}

demo_metrics() { # of all metrics on standard input, those that tell the most
  grep -E '^mcpgateway_pool_(sessions|acquisitions_total|creates_total|timeouts_total|waiters)[ {]'
}
