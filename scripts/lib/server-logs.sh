# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# Searching the servers' logs for what no test would notice. Sourced by scripts/check.
#
# A scenario that kills a process on purpose says so in a file beside the server's log, written by
# the harness: <log>.expected-signals, lines of "<signal> <how many>". Exactly those are allowed.

alarming='terminated by signal|PANIC|TRAP:|AddressSanitizer|runtime error:'

server_logs() {
  find "$workspace" -path "$workspace/postgres" -prune -o -path "$workspace/tests" -prune -o \
    -type f -name '*.log' -path '*/log/*' -print | LC_ALL=C sort
}

# Prints what is wrong with one log; nothing where all is well.
unexpected_in_log() {
  local log=$1 lines signal count seen
  lines=$(grep -anE "$alarming" "$log") || lines=
  if [[ -e $log.expected-signals ]]; then
    while read -r signal count; do
      seen=$(grep -cE "terminated by signal $signal\b" <<<"$lines") || true
      if [[ $seen == "$count" ]]; then
        lines=$(grep -vE "terminated by signal $signal\b" <<<"$lines") || true
      else
        echo "$count processes were to be terminated by signal $signal, and $seen were"
      fi
    done <"$log.expected-signals"
  fi
  if [[ -n $lines ]]; then
    head -n 20 <<<"$lines"
  fi
}

stage_logs() {
  local log wrong logs
  mapfile -t logs < <(server_logs)
  for log in "${logs[@]}"; do
    wrong=$(unexpected_in_log "$log")
    if [[ -z $wrong ]]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      say "  FAILED  ${log#"$workspace"/}"
      say "$wrong"
      show_server_log "$log"
    fi
  done
  note="${#logs[@]} searched"
}

# Where the server's log lies, and with CI=true, where nobody can go and look, its end.
show_server_log() {
  say "  server log: $(saved_path "$1")"
  if [[ ${CI:-} == true ]]; then
    tail -n 60 "$1" | sed 's/^/    | /'
  fi
}

# What is worth reading after a failure outlives the workspace, below build/. The last failed run
# of each PostgreSQL version is kept.
saved_path() {
  if [[ -n ${keep:-} ]]; then
    printf '%s' "$1"
  else
    printf '%s' "$build_dir/failed/${1#"$workspace"/}"
  fi
}

save_logs() {
  local files
  rm -rf "$build_dir/failed"
  mkdir -p "$build_dir/failed"
  mapfile -t files < <(cd "$workspace" && find . \( -path ./postgres -o -path ./tests -o \
    -name '*_data' -o -path ./regress/instance -o -path ./isolation/instance \) -prune -o -type f \
    \( -name '*.log' -o -name '*.expected-signals' -o -name 'regress_log_*' -o -name 'regression.*' \
    -o -name '*.out' -o -path './scenarios/tap/*' -o -path './pages/*.png' -o -name 'ctest.xml' \) -print)
  if ((${#files[@]})); then
    tar -C "$workspace" -cf - "${files[@]}" | tar -C "$build_dir/failed" -xf - --no-same-owner
  fi
}
