# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# The stages of scripts/check. Each one sets passed, failed and skipped, and may set a note for the
# summary. The arguments choose some of its tests.

stage_format() {
  local files
  check_schema_order
  check_rooms
  check_kinds
  check_error_codes
  check_limits
  check_health_page
  check_metrics_page
  check_sql_pages
  check_settings_page
  check_alert_pages
  check_journal_page
  check_event_types
  check_webhook_outcomes
  check_verdicts
  check_mistakes
  check_monitoring
  check_javascript
  if ! command -v clang-format >/dev/null; then
    skipped=1
    note="clang-format is not installed"
    return
  fi
  mapfile -t files < <(cd "$root" && source_files | grep -E '\.(cpp|hpp)$')
  if ((${#files[@]} == 0)); then
    note="no C++ files"
  elif (cd "$root" && clang-format --dry-run --Werror "${files[@]}") >"$workspace/format.log" 2>&1; then
    passed=$((passed + 1))
    note="${#files[@]} files"
  else
    failed=$((failed + 1))
    say "  not formatted as .clang-format says (clang-format -i puts it right):"
    sed -n 's/^\([^:]*\):.*code should be clang-formatted.*/    \1/p' "$workspace/format.log" | sort -u
    grep -v 'code should be clang-formatted' "$workspace/format.log" | grep -E '(error|warning):' | head || true
  fi
}

# What is written in JavaScript: its types (JSDoc, by tsc) and its form (prettier), beside the packages that it names.
check_javascript() {
  local directory=$root/build/node tree=$workspace/javascript program
  if ! download_node_packages; then
    return
  fi
  mkdir -p "$tree"
  (cd "$root" && source_files | grep -E '^\./(examples|console|test/pages)/|^\./(package|jsconfig)\.json$|^\./\.(prettierignore|editorconfig)$' |
    tar -T - -cf -) | tar -C "$tree" -xf -
  ln -s "$directory/node_modules" "$tree/node_modules"
  for program in 'tsc --project jsconfig.json' 'prettier --check --log-level warn .'; do
    # Split on purpose: a program and its arguments.
    # shellcheck disable=SC2086
    if (cd "$tree" && PATH=$directory/node_modules/.bin:$PATH && $program) >"$workspace/javascript.log" 2>&1; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      say "  $program:"
      head -n 30 "$workspace/javascript.log" | sed 's/^/    /'
    fi
  done
}

stage_unit() {
  local results=$workspace/ctest.xml choice=() log=$workspace/unit.log
  if [[ ! -e $root/CMakeLists.txt ]]; then
    note="no CMakeLists.txt"
    return
  fi
  if (($#)); then
    choice=(-R "$(IFS='|'; echo "$*")")
  fi
  run_limited 600 "$log" show_progress \
    ctest --test-dir "$cxx_dir" -j "$jobs" --timeout 300 --output-on-failure --output-junit "$results" \
    "${choice[@]}" || true
  if [[ ! -s $results ]]; then
    # Without any test ctest writes nothing, and without an answer something is wrong.
    if grep -q 'No tests were found' "$log" && ((! $#)); then
      note="no tests"
    else
      failed=1
      tail -n 20 "$log"
    fi
    return
  fi
  local tests
  tests=$(junit_attribute tests "$results")
  if ((tests == 0 && $#)); then
    failed=1
    note="no test is called $*"
    return
  fi
  failed=$(junit_attribute failures "$results")
  skipped=$(($(junit_attribute skipped "$results") + $(junit_attribute disabled "$results")))
  passed=$((tests - failed - skipped))
  if ((failed)); then
    sed -n '/^The following tests FAILED/q; p' "$log" |
      grep -vE '^(Internal ctest|Test project| *Start )| Passed ' | tail -n 80 | sed 's/^/    /'
  fi
}

junit_attribute() {
  local value
  value=$(grep -oE -m 1 "^[[:space:]]*$1=\"[0-9]+\"|<testsuite[^>]* $1=\"[0-9]+\"" "$2" | grep -oE '[0-9]+"$' |
    head -n 1)
  value=${value%\"}
  printf '%s' "${value:-0}"
}

# pg_regress and pg_isolation_regress: run_regress STAGE PROGRAM DATABASE TESTS-DIRECTORY INPUTS TEST…
# INPUTS: what the files of the tests are called, as a pattern.
run_regress() {
  local stage=$1 program=$2 database=$3 input=$4 inputs=$5 schedule what=() status=0
  local work=$workspace/$stage log=$workspace/$stage.log name file
  shift 5
  schedule=$input/schedule
  if [[ $stage == regress ]]; then
    schedule=$input/sql/schedule
  fi
  if [[ ! -s $schedule ]]; then
    note="no tests"
    if (($#)); then
      failed=1
    fi
    return
  fi

  # A test that no schedule names would never run, and nobody would notice.
  for file in "$input"/$inputs; do
    name=$(basename "${file%.*}")
    if [[ -e $file ]] && ! grep -qE "^test:(.* )?$name( |\$)" "$schedule"; then
      say "  FAILED  $name is not in ${schedule#"$workspace"/tests/}"
      failed=$((failed + 1))
    fi
  done

  make_server_dir "$work"
  make_server_dir "$work/secrets"
  chmod 700 "$work/secrets"
  printf 'sk_test_simulator' >"$work/secrets/stripe_key"
  chmod 600 "$work/secrets/stripe_key"
  if ((${#server_user[@]})); then
    chown nobody:nogroup "$work/secrets/stripe_key"
  fi
  {
    echo "shared_preload_libraries = 'pg_seats'"
    echo "pg_seats.secrets_directory = '$work/secrets'"
    if [[ -e $workspace/tests/test/regress.conf ]]; then
      cat "$workspace/tests/test/regress.conf"
    fi
  } >"$work/server.conf"

  if (($#)); then
    what=("$@")
  else
    what=(--schedule="$schedule")
  fi
  run_limited "${REGRESS_LIMIT:-300}" "$log" show_regress \
    "${server_user[@]}" env -C "$work" "${postgres_env[@]}" "$program" \
    --temp-instance="$work/instance" --temp-config="$work/server.conf" --bindir="$postgres_bin" \
    --inputdir="$input" --outputdir="$work" --dbname="$database" --encoding=UTF8 --no-locale \
    "${what[@]}" || status=$?

  # Up to version 15 "test x ... ok", from 16 on "ok 1 - x".
  passed=$(grep -cE '^ok [0-9]+|\.\.\. ok ' "$log") || true
  local broken
  broken=$(grep -cE '^not ok [0-9]+|\.\.\. (FAILED|failed)' "$log") || true
  failed=$((failed + broken))
  if ((status != 0)); then
    if ((broken == 0)); then
      failed=$((failed + 1))
      tail -n 20 "$log" | sed 's/^/    /'
    fi
    if [[ -s $work/regression.diffs ]]; then
      # The first difference is the cause, what comes behind it often follows from it.
      say "  how each begins in $(saved_path "$work/regression.diffs") (right as it is? results/ there into expected/):"
      awk '/^diff / { lines = 0 } lines++ < 30' "$work/regression.diffs" | sed 's/^/    /'
    fi
    if [[ -e $work/log/postmaster.log ]]; then
      show_server_log "$work/log/postmaster.log"
    fi
  fi
}

show_regress() {
  grep --line-buffered -E '^(not )?ok [0-9]+|\.\.\. (ok|FAILED|failed)' | sed -u 's/^ */  /' || true
}

stage_regress() {
  run_regress regress "$postgres_pgxs/test/regress/pg_regress" contrib_regression \
    "$workspace/tests" 'sql/*.sql' "$@"
}

stage_isolation() {
  run_regress isolation "$postgres_pgxs/test/isolation/pg_isolation_regress" isolation_regression \
    "$workspace/tests/test/isolation" 'specs/*.spec' "$@"
}

# chosen_files DIRECTORY ENDING WORD…: tests whose names begin with one of the words; without any, all.
chosen_files() {
  local directory=$1 ending=$2 file word
  shift 2
  for file in "$directory"/*"$ending"; do
    [[ -e $file ]] || continue
    for word in "${@:-}"; do
      if [[ $(basename "$file") == "${word%"$ending"}"* ]]; then
        echo "$file"
        break
      fi
    done
  done
}

stage_scenarios() {
  local work=$workspace/scenarios files=() file status=0
  mapfile -t files < <(chosen_files "$workspace/tests/test/scenarios" .pl "$@")
  if ((${#files[@]} == 0)); then
    note="no scenario${*:+ is called $*}"
    if (($#)); then
      failed=1
    fi
    return
  fi
  if [[ ! -x $workspace/bin/stripe-simulator ]]; then
    failed=1
    note="no stripe-simulator was built"
    return
  fi

  fetch_node_packages
  fetch_pgbouncer
  make_server_dir "$work"
  make_server_dir "$work/tap"
  make_server_dir "$work/ports"
  # A template saves an initdb for each server; PostgreSQL 15's test modules do not know it.
  run_limited 60 "$workspace/initdb.log" show_nothing "${server_user[@]}" env -C "$work" \
    "${postgres_env[@]}" initdb -D "$work/initdb_template_data" -A trust -N --no-instructions || status=$?
  if ((status == 0)); then
    run_limited "${SCENARIOS_LIMIT:-2700}" "$workspace/scenarios.log" cat \
      "${server_user[@]}" env -C "$work" "${postgres_env[@]}" \
      TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
      PG_TEST_PORT_DIR="$work/ports" PG_TEST_TIMEOUT_DEFAULT=60 \
      INITDB_TEMPLATE="$work/initdb_template_data" \
      STRIPE_SIMULATOR="$workspace/bin/stripe-simulator" PERL_TEST_HARNESS_DUMP_TAP="$work/tap" \
      SCENARIO_JOBS="${SCENARIO_JOBS:-2}" SCENARIO_LIMIT="${SCENARIO_LIMIT:-300}" \
      perl "$workspace/tests/test/scenarios/lib/run-scenarios.pl" "$work/result" \
      "$postgres_pgxs/test/perl" "${files[@]}" || status=$?
  else
    tail -n 20 "$workspace/initdb.log" | sed 's/^/    /'
  fi

  if [[ -s $work/result ]]; then
    read -r passed failed skipped <"$work/result"
  fi
  if ((status != 0 && failed == 0)); then
    failed=1
  fi
  if ((failed)); then
    for file in "$work"/tmp_check/log/*.log; do
      if [[ -e $file && -e $work/failed-$(scenario_of_log "$file") ]]; then
        show_server_log "$file"
      fi
    done
  fi
}

# …/03_outage_main.log -> 03_outage: the scenario whose name it begins with.
scenario_of_log() {
  local log file name
  log=$(basename "$1")
  for file in "$workspace"/tests/test/scenarios/*.pl; do
    name=$(basename "$file" .pl)
    if [[ $log == "$name"_* ]]; then
      echo "$name"
      return
    fi
  done
}

# Seeds (3 and 5, or those that are named; 1-500 for hours), each a server of its own under everything that can
# go wrong; see test/chaos/README.md.
stage_chaos() {
  local work=$workspace/chaos status=0 seeds=("$@")
  if ((${#seeds[@]} == 0)); then
    seeds=(3 5)
  fi
  if [[ ! -x $workspace/bin/stripe-simulator ]]; then
    failed=1
    note="no stripe-simulator was built"
    return
  fi
  make_server_dir "$work"
  make_server_dir "$work/ports"
  run_limited "${CHAOS_STAGE_LIMIT:-86400}" "$workspace/chaos.log" cat \
    "${server_user[@]}" env -C "$work" "${postgres_env[@]}" \
    TESTDIR="$work" TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/tmp_check/log" \
    PG_TEST_PORT_DIR="$work/ports" PG_TEST_TIMEOUT_DEFAULT=60 \
    STRIPE_SIMULATOR="$workspace/bin/stripe-simulator" \
    CHAOS_SECONDS="${CHAOS_SECONDS:-20}" CHAOS_JOBS="${CHAOS_JOBS:-2}" \
    perl "$workspace/tests/test/chaos/run-seeds.pl" "$work/result" \
    "$postgres_pgxs/test/perl" "${seeds[@]}" || status=$?
  if [[ -s $work/result ]]; then
    read -r passed failed <"$work/result"
  fi
  if ((status != 0 && failed == 0)); then
    failed=1
  fi
  if ((failed)); then
    say "  stories and server logs: $(saved_path "$work/tmp_check/log")"
  fi
}

# What scripts/demo shows must stay true: the lines of demo-chapters/expected, and those that README.md promises
# whoever types its lines. It builds by itself, which takes nothing where the other stages have built.
stage_demo() {
  run_demo demo "$root/scripts/demo-chapters/expected"
  readme_walk "$root/README.md" | sed -n 's/^-- //p' >"$workspace/readme.expected"
  run_demo readme "$workspace/readme.expected" --readme
}

# run_demo NAME EXPECTED OPTION…: looks for the lines of EXPECTED, in that order.
run_demo() {
  local name=$1 expected=$2 log=$workspace/$1.log status=0 missing
  shift 2
  run_limited "${DEMO_LIMIT:-900}" "$log" show_nothing \
    env PG_CONFIG="$PG_CONFIG" TMPDIR="$workspace" "$root/scripts/demo" "$@" || status=$?
  missing=$(awk '
    { gsub(/[ \t]+/, " "); sub(/^ /, ""); sub(/ $/, "") }
    NR == FNR { if (!/^(#.*)?$/) want[++wanted] = $0; next }
    found < wanted && $0 == want[found + 1] { found++ }
    END { if (found < wanted || !wanted) print want[found + 1] }' "$expected" "$log")
  if ((status == 0)) && [[ -z $missing ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  if ((status == 0)); then
    say "  FAILED  $name: scripts/demo $* does not show: $missing"
  fi
  say "  $(saved_path "$log"), its end:"
  tail -n 30 "$log" | sed 's/^/    /'
}

# What people see: the example and the operator's desk in a headless Chromium, on one server and one simulator.
# test/pages/README.md says how to run one of its tests by hand.
stage_pages() {
  local work=$workspace/pages files=() file status=0 log=$workspace/pages.log
  mapfile -t files < <(chosen_files "$workspace/tests/test/pages" .test.js "$@")
  if ((${#files[@]} == 0)); then
    note="no test is called $*"
    failed=1
    return
  fi
  if ! pages_can_be_opened; then
    skipped=${#files[@]}
    say "  ($note: what people see is not tried)"
    return
  fi
  fetch_pgbouncer
  fetch_nginx
  make_server_dir "$work"
  if ! { copy_demo_chapters && start_demo_server && demo_psql -c '\! simulate acme'; }; then
    failed=1
    say "  FAILED  ${server_trouble:-the server does not start}"
    if [[ -e $server_trouble_log ]]; then
      tail -n 20 "$server_trouble_log" | sed 's/^/    /'
    fi
    return
  fi
  run_limited "${PAGES_LIMIT:-900}" "$log" show_pages \
    "${server_user[@]}" env -C "$work" "${postgres_env[@]}" \
    "PGHOST=$server_dir" PGUSER=postgres PGDATABASE=demo "CHROMIUM=$(browser)" "PAGES_PICTURES=$work" \
    ${PICTURES:+"PICTURES=$work/made"} \
    node --test --test-concurrency=1 --test-timeout=300000 \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$work/tap.out" "${files[@]}" || status=$?
  passed=$(tap_total pass "$work/tap.out")
  skipped=$(tap_total skipped "$work/tap.out")
  failed=$(($(tap_total fail "$work/tap.out") + $(tap_total cancelled "$work/tap.out")))
  if ((status != 0 && failed == 0)); then
    failed=1
    tail -n 20 "$log" | sed 's/^/    /'
  fi
  if [[ -n ${PICTURES:-} ]] && compgen -G "$work/made/*.png" >/dev/null; then
    mkdir -p "$root/docs/pictures"
    cp "$work"/made/*.png "$root/docs/pictures/"
    say "  made anew, look at them: docs/pictures"
  fi
  if ((failed)); then
    sed -n '/failing tests:$/,$p' "$log" | head -n 120 | sed 's/^/    /'
    for file in "$work"/*.png; do
      if [[ -e $file ]]; then
        say "  what was to be seen: $(saved_path "$file")"
      fi
    done
    show_server_log "$server_dir/log/server.log"
  fi
  stop_demo_server
}

# Whether there is what a page is opened with; sets the note if not.
pages_can_be_opened() {
  if [[ -z $(browser) ]]; then
    note="no Chromium"
  elif ! node_is_new; then
    note="Node 20 or newer is needed, found: $(node_version)"
  else
    fetch_node_packages
    if [[ -z $node_packages ]]; then
      note="no npm packages"
    fi
  fi
  [[ -z $note ]]
}

browser() {
  type -P "${CHROMIUM:-chromium-headless-shell}" || type -P "${CHROMIUM:-chromium}" || true
}

show_pages() {
  grep --line-buffered -E '^ *(✔|✖|﹣) ' | sed -u '/failing tests:/,$d; s/^/  /' || true
}

# tap_total pass FILE: what node's test runner has counted.
tap_total() {
  local number
  number=$(sed -n "s/^# $1 \([0-9]*\)$/\1/p" "$2" 2>/dev/null)
  printf '%s' "${number:-0}"
}
