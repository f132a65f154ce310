# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# The stages of scripts/check. Each one sets passed, failed and skipped, and may set a note for the
# summary. The arguments choose some of its tests.

# What the code has (<) and a page lists (>) must be the same.
compare_with_docs() {
  local what=$1 page=$2 coded=$3 documented=$4
  if [[ -n $coded && $coded == "$documented" ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  say "  $what in the code (<) and in $page (>) differ:"
  diff <(echo "$coded") <(echo "$documented") | grep '^[<>]' | sed 's/^/    /' || true
}

# Every file of the schema is in its order, once, and each part holds only what belongs there: what is kept at an
# upgrade comes first, what an upgrade makes anew can be replaced, and the end makes nothing.
check_schema_order() {
  local order=$root/src/schema/order misplaced
  compare_with_docs "files of the schema" src/schema/order \
    "$(cd "$root/src/schema" && find . -name '*.sql' | sed 's,^\./,,' | sort)" "$(sed '/^#/d; /^$/d' "$order" | sort)"
  misplaced=$(cd "$root/src/schema" && awk '
    /^# (tables|replaceable|always)$/ { part = $2 }
    /^#/ || /^$/ { next }
    {
      while ((getline line < $0) > 0)
        if (line ~ /^CREATE / &&
            !(part == "tables" && line ~ /^CREATE (UNIQUE )?(SCHEMA|TABLE|TYPE|INDEX) / ||
              part == "replaceable" && line ~ /^CREATE OR REPLACE /))
          print "    " part ": " $0 ": " line
    }' order)
  if [[ -z $misplaced ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    say "  not in the right part of src/schema/order, or not OR REPLACE:"
    say "$misplaced"
  fi
}

# The install script.
schema_text() {
  (cd "$root/src/schema" && sed '/^#/d; /^$/d' order | xargs cat)
}

check_health_page() {
  local coded documented
  coded=$(sed -n '/CREATE OR REPLACE VIEW seats.health/,/^REVOKE/p' "$root"/src/schema/health/views.sql |
    grep -oE "^SELECT '[a-z_ ]+'" | sed -E "s/^SELECT '([a-z_ ]*[a-z_]) *'/\1/" | sort)
  documented=$(sed -n '/^## Each check/,$p' "$root/docs/on-call.md" |
    grep -oE '^\| `[a-z_ ]+' | sed -E 's/^\| `//; s/ +$//' | sort)
  compare_with_docs "checks of health" docs/on-call.md "$coded" "$documented"
}

# Every function and view of the schema seats stands in the reference and in the README, and what any page
# calls seats.… is one of them, or a kind of journal entry.
check_sql_pages() {
  local functions views page named
  functions=$(schema_text |
    grep -oE '^CREATE OR REPLACE (FUNCTION|PROCEDURE) seats\.[a-z_]+' | sed 's/.*\.//' | sort -u)
  views=$(schema_text | grep -oE '^CREATE OR REPLACE VIEW seats\.[a-z_]+' | sed 's/.*\.//' | sort)
  page=$(sed '/^## Views/,$d' "$root/docs/sql-reference.md")
  compare_with_docs functions docs/sql-reference.md "$functions" "$({
    grep '^### ' <<<"$page" | sed 's/^### //; s/, /\n/g' | grep -xE '[a-z_]+'
    grep -oE '`(CALL )?[a-z_]+\(' <<<"$page" | sed 's/`//; s/CALL //; s/($//'
  } | sort -u)"
  compare_with_docs functions README.md "$functions" "$(first_cells '## Functions' README.md | sort)"
  compare_with_docs views docs/sql-reference.md "$views" "$(sed '/^States of a change/,$d' "$root/docs/sql-reference.md" |
    first_cells '## Views' | sort)"
  compare_with_docs views README.md "$views" "$(first_cells '## Views' README.md | sort)"
  named=$(grep -ohE '\bseats\.[a-z_]+' "$root/README.md" "$root"/docs/*.md | sed 's/.*\.//' | sort -u)
  compare_with_docs "names after seats." "README.md and docs" "$(grep -xFf <({
    echo "$functions"
    echo "$views"
    first_cells '## Kinds' docs/journal.md | sed -n 's/^seats\.//p'
  }) <<<"$named")" "$named"
}

# The names in the first cells of the tables below a heading: first_cells HEADING [PAGE]
first_cells() {
  if [[ -n ${2:-} ]]; then
    first_cells "$1" <"$root/$2"
    return
  fi
  awk -F'|' -v "heading=$1" '
    /^#+ / { level = index($0, " "); if (inside && level <= index(heading, " ")) exit }
    $0 ~ "^" heading { inside = 1 }
    inside && /^\|/ { print $2 }' |
    grep -oE '`(CALL )?[a-z_.]+`' | sed 's/`//g; s/CALL //'
}

check_settings_page() {
  compare_with_docs settings docs/operations.md \
    "$(grep -oE '"pg_seats\.[a-z_]+"' "$root/src/pg/settings.cpp" | tr -d '"' | sort)" \
    "$(first_cells '## Settings' docs/operations.md | sort)"
}

# The rows of a list in the schema (VALUES), without quotes and commas: list_rows FILE
list_rows() {
  sed -nE "/VALUES \(|^ +\('/{s/^ *(VALUES )?\((.*)\)[,;].*/\2/; s/['(),]//g; s/ +/ /g; p}" "$root/src/schema/$1"
}

# The code without its lists of kinds.
coded_kinds() {
  find "$root/src" \( -name '*.sql' -o -name '*.cpp' \) ! -name '*_kinds.sql' ! -name types.sql -print0 | xargs -0 "$@"
}

# Kinds of alerts: the list, what is raised, and the page. In SQL and in C++ an alert's kind comes after its severity.
# (Severities themselves come in lists.) What has happened is to be acknowledged, says the page.
check_alert_pages() {
  local listed coded
  listed=$(list_rows news/alert_kinds.sql | sort)
  coded=$(coded_kinds perl -0777 -ne '
    my $word = qr/["\x27]([a-z_]+)["\x27]/;
    while (/["\x27](?:info|warning|critical|fatal)["\x27]\)?,\s*(?:pg::text\()?([^,"\x27]*$word(?:\s*:[^,"\x27]*$word)*)/g) {
      my $kinds = $1;
      print "$1\n" while $kinds =~ /$word/g;
    }' | grep -vxE 'warning|critical|fatal' | sort -u)
  compare_with_docs "kinds of alerts" src/schema/news/alert_kinds.sql "$coded" "$(cut -d ' ' -f 1 <<<"$listed")"
  compare_with_docs "kinds of alerts" docs/operations.md "$listed" \
    "$(sed -n '/^## Alerts/,/^## A call/p' "$root/docs/operations.md" | awk -F ' *\\| *' '
      $2 ~ /^`/ { gsub("`", "", $2); print $2, $3, ($5 ~ /acknowledge/ ? "true" : "false") }' | sort)"
  # Of a team, its id is the second word of the fingerprint: they end with the team.
  compare_with_docs "fingerprints of alerts of teams" "unregister (src/schema/seats/register.sql)" \
    "$(grep -rhoE "'[a-z_]+:(' \|\| |%s[^']*', )([a-z]+\.)?team(_id|\.id)" "$root/src/schema" |
      sed "s/^'//; s/:.*//" | sort -u)" \
    "$(sed -n "/split_part(a.fingerprint, ':', 1) IN/,/;/p" "$root/src/schema/seats/register.sql" |
      grep -oE "'[a-z_]{2,}'" | tr -d "'" | sort)"
  coded=$(grep -rhoE "'alert\.[a-z_]+'" "$root/src/schema" | tr -d "'" | grep -vx alert.acknowledged | sort -u)
  compare_with_docs "what receivers are told" docs/alerts.md "$coded" \
    "$(first_cells '## What is told' docs/alerts.md | grep '^alert\.' | sort)"
}

# Kinds of journal entries: the list, what is written, and the page. They are words with a dot in between, but for what
# else is written like that (tables, settings, what receivers are told); an event's is in the list of events.
check_journal_page() {
  local listed coded
  listed=$(list_rows news/journal_kinds.sql | cut -d ' ' -f 1 | sort)
  coded=$({
    coded_kinds grep -hoE "['\"][a-z_]+\.[a-z_]+['\"]" |
      tr -d "'\"" | grep -vE '^(a|o|pg_seats|seats_internal)\.|^price\.(deleted|updated)$|^seats\.journal$|\.h$' |
      grep -vE '^alert\.(opened|severity_raised|re.*|summary)$'
    # Of teams and of individuals alike: kind || '.registered'.
    grep -rhoE "kind \|\| '\.[a-z_]+'" "$root/src/schema" |
      sed -E "s/.*'(\.[a-z_]+)'/team\1\nindividual\1/"
    list_rows stripe_events/types.sql | cut -d ' ' -f 4 | grep -vx NULL
  } | sort -u)
  compare_with_docs "kinds of entries" src/schema/news/journal_kinds.sql "$coded" "$listed"
  compare_with_docs "kinds of entries" docs/journal.md "$listed" "$(first_cells '## Kinds' docs/journal.md | sort)"
}

# Types of Stripe's events: the list, and what the page has people send.
check_event_types() {
  local listed
  listed=$(list_rows stripe_events/types.sql | cut -d ' ' -f 1 | sort)
  compare_with_docs "types of events" docs/webhooks.md "$listed" \
    "$(sed -n '/^## Setting up/,/(Others do no harm/p' "$root/docs/webhooks.md" | grep -oE '`[a-z_.]+`' | tr -d '`' |
      sed 's/^\./customer.subscription./' | sort)"
  compare_with_docs "entries that events leave" "docs/webhooks.md (What follows)" \
    "$(list_rows stripe_events/types.sql | cut -d ' ' -f 4 | grep -vx NULL | sort)" \
    "$(sed -n '/^## What follows/,/^## Relays/p' "$root/docs/webhooks.md" | sed -n '/there are journal entries/,/^$/p' |
      tr '\n' ' ' | sed 's/.*…//' | grep -oE '`[a-z_]+\.[a-z_]+`' | tr -d '`' | sort)"
  if (($(wc -l <<<"$listed") > 20)); then
    failed=$((failed + 1))
    say "  src/schema/stripe_events/types.sql has more than 20 types: Stripe lists no more at once"
  fi
}

# What answers mean: the reasons in the code, in the page, and in the tests of the rows.
check_verdicts() {
  local coded
  coded=$(cd "$root/src/core" && {
    perl -0777 -ne 'print "$1\n" while /\b(?:again|refused|unknown|halted)\((?:\w+,\s*)?"(\w+)"/g' stripe_error.cpp
    perl -0777 -ne 'while (/\breason = ([^;{}]*)/g) { my $value = $1; print "$1\n" while $value =~ /"(\w+)"/g }' verdict.cpp
  } | sort -u)
  # In the page they stand in the column of that name, or in brackets or behind the word.
  compare_with_docs "reasons of verdicts" docs/verdicts.md "$coded" "$({
    awk -F ' *\\| *' '
      /^\|/ && !inside { inside = 1; column = 0; for (i = 2; i < NF; i++) if ($i == "reason") column = i; next }
      !/^\|/ { inside = 0 }
      inside && column { print $column }' "$root/docs/verdicts.md"
    grep -oE '(\(|reason )`[a-z_]+`' "$root/docs/verdicts.md"
  } | grep -oE '`[a-z_]+`' | tr -d '`' | grep -vxE 'object_is_terminal|same_refusal_in_many_lanes|pg_seats' | sort -u)"
  compare_with_docs "reasons of verdicts" test/unit/verdict_test.cpp "$coded" "$(
    grep -ohE 'reason(, | = )"[a-z_]+"' "$root"/test/unit/verdict*_test.cpp | grep -oE '"[a-z_]+"' | tr -d '"' |
      sort -u)"
}

# Every SQLSTATE of class PS.
check_error_codes() {
  local coded documented
  coded=$(cd "$root" && {
    grep -rhoE "'PS[0-9]{3}'" src/schema | tr -d "'"
    grep -rhoE "MAKE_SQLSTATE\('P', 'S'(, '[0-9]'){3}\)" src | sed -E 's/^[A-Z_]+//; s/[^PS0-9]//g'
  } | sort -u)
  documented=$(grep -oE '^\| PS[0-9]{3} ' "$root/docs/errors.md" | tr -d '| ' | sort)
  compare_with_docs errors docs/errors.md "$coded" "$documented"
}

# No room includes what src/rooms does not allow it, and no two need each other.
check_rooms() {
  local strangers
  strangers=$(cd "$root/src" && awk '
    FILENAME == "rooms" {
      if (!/^(#|$)/) {
        for (i = 2; i <= NF; i++) {
          may[$1, $i]
          other = $i
          sub("/.*", "", other)
          if (!(other in known)) print "rooms: " $i " does not stand above " $1
        }
        known[$1]
      }
      next
    }
    FNR == 1 {
      room = FILENAME
      sub("/.*", "", room)
      if (!(room in known)) print FILENAME ": its room is not in src/rooms"
    }
    /^ *#include "[^"]*\.hpp"/ {
      split($0, part, "\"")
      other = header = part[2]
      sub("/.*", "", other)
      if (other != room && !((room, other) in may) && !((room, header) in may) && !((FILENAME, header) in may))
        print FILENAME ": " header
    }' rooms */*.cpp */*.hpp)
  if [[ -z $strangers ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  say "  src/rooms does not allow:"
  sed 's/^/    /' <<<"$strangers"
}

# Kinds of rows have a file, a line in SQL, and one in the page. Which kind a row is, is asked in src/kinds only:
# everybody else has its line of the table. In SQL, in the rooms whose kinds they are (seats, news) and in kinds.sql; but
# for an index, and for the one question that needs it as it stands.
check_kinds() {
  local kinds asked
  kinds=$(sed -n 's/.*\.name = "\([a-z]*\)".*/\1/p' "$root"/src/kinds/*.cpp | sort)
  compare_with_docs "kinds of rows" src/schema/kinds.sql "$kinds" "$(list_rows kinds.sql | cut -d ' ' -f 1 | sort)"
  compare_with_docs "kinds of rows" src/kinds/README.md "$kinds" \
    "$(sed '/^| in the table/,$d' "$root/src/kinds/README.md" | first_cells '# Kinds of rows' | sort)"
  kinds=$(paste -sd '|' <<<"$kinds")
  asked=$(cd "$root" && {
    grep -nE "kind (=|<>|==|!=|IN \() *['\"]($kinds)['\"]|CASE [a-z.]*kind|\b($kinds)_kind\b" \
      src/{core,pg,engine,process}/*.?pp
    find src/schema -name '*.sql' ! -path 'src/schema/seats/*' ! -path 'src/schema/news/*' ! -name kinds.sql -print0 |
      xargs -0 grep -nE "kind *(=|<>|!=|(NOT )?IN \(|(=|<>) (ANY|ALL) \() *(ARRAY\[)?'\{?($kinds)\b|WHEN '($kinds)'" |
      grep -vE '^src/schema/outbox/(tables\.sql:[0-9]+:CREATE INDEX outbox_read_by_team |retention\.sql:.* r\.team_id IS NOT NULL\))'
  } || true)
  if [[ -n $kinds && -z $asked ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  say "  asks for a kind of rows by its name, not its table:"
  sed 's/^/    /' <<<"$asked"
}

stage_format() {
  local files
  check_schema_order
  check_rooms
  check_kinds
  check_error_codes
  check_health_page
  check_sql_pages
  check_settings_page
  check_alert_pages
  check_journal_page
  check_event_types
  check_verdicts
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

stage_scenarios() {
  local work=$workspace/scenarios files=() file word status=0
  for file in "$workspace"/tests/test/scenarios/*.pl; do
    [[ -e $file ]] || continue
    if (($# == 0)); then
      files+=("$file")
      continue
    fi
    for word in "$@"; do
      if [[ $(basename "$file") == "${word%.pl}"* ]]; then
        files+=("$file")
        break
      fi
    done
  done
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

  fetch_stripe_for_node
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
