# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# The temporary directory of one run, the user that servers run as, child processes and their time
# limits. Sourced by scripts/check.

workspace=
server_user=()
current_child=

make_workspace() {
  # Short, because the path of a Unix socket may have 107 characters only.
  workspace=$(mktemp -d "${TMPDIR:-/tmp}/pg_seats.XXXXXX")
  # Servers may run as somebody else than who owns this directory.
  chmod 755 "$workspace"
  trap end_workspace EXIT
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM HUP

  # PostgreSQL refuses to run as root.
  if [[ $(id -u) -eq 0 ]]; then
    server_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all)
    "${server_user[@]}" test -x "$workspace" ||
      die "the user nobody cannot reach $workspace; set TMPDIR to a directory that all may enter"
  fi
  make_server_dir "$workspace/tmp"
}

# A directory that the servers' user may write to.
make_server_dir() {
  mkdir -p "$1"
  if ((${#server_user[@]})); then
    chown nobody:nogroup "$1"
  fi
}

interrupted() {
  warn "interrupted"
  if [[ -n $current_child ]]; then
    kill -TERM "$current_child" 2>/dev/null || true
  fi
  exit "$1"
}

end_workspace() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_leftover_processes
  if [[ -n ${keep:-} ]]; then
    say "kept: $workspace"
  else
    rm -rf "$workspace"
  fi
  exit "$status"
}

# Process ids of what this run has started and what is still there: servers detach themselves, so
# they are known by their program or working directory, which lie in the workspace.
leftover_processes() {
  find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*' \( -name exe -o -name cwd \) -lname "$workspace/*" \
    -printf '%h\n' 2>/dev/null | sed 's,^/proc/,,' | sort -u
}

end_leftover_processes() {
  local pids attempt
  mapfile -t pids < <(leftover_processes)
  ((${#pids[@]})) || return 0
  # An immediate shutdown, for a server; it removes its shared memory, which a KILL would not. What was started in the
  # background ignores it, and ends by the second.
  kill -QUIT "${pids[@]}" 2>/dev/null || true
  kill -TERM "${pids[@]}" 2>/dev/null || true
  for ((attempt = 0; attempt < 50; attempt++)); do
    mapfile -t pids < <(leftover_processes)
    ((${#pids[@]})) || return 0
    sleep 0.1
  done
  kill -KILL "${pids[@]}" 2>/dev/null || true
}

# run_limited SECONDS LOG FILTER COMMAND…
# Runs a command with a time limit and its output in LOG; what the function FILTER lets through is
# shown while it runs. The command has a process group of its own, so that the limit and an
# interrupt reach all that is below it.
run_limited() {
  local limit=$1 log=$2 filter=$3 status=0 viewer
  shift 3
  : >"$log"
  timeout --kill-after=20 "$limit" "$@" >"$log" 2>&1 </dev/null &
  current_child=$!
  tail -n +1 -f -s 0.2 --pid="$current_child" "$log" 2>/dev/null | "$filter" &
  viewer=$!
  wait "$current_child" || status=$?
  current_child=
  wait "$viewer" || true
  if ((status == 124 || status == 137)); then
    say "  stopped after $(duration "$limit"), its time limit"
  fi
  return "$status"
}

show_nothing() {
  cat >/dev/null
}
