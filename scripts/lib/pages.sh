# shellcheck shell=bash
# shellcheck disable=SC2154 # variables are shared with the script that sources this
# What the stage format of scripts/check compares: the code with the pages that list it, and with its own rules. Each
# check counts in passed and failed.

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
  named=$(grep -ohP '(?<![\w/-])seats\.[a-z_]+' "$root/README.md" "$root"/docs/*.md | sed 's/.*\.//' | sort -u)
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
}

# What comes of webhooks: what is counted for metrics, and the page. (What is not listed is not counted.)
check_webhook_outcomes() {
  compare_with_docs "outcomes of webhooks" docs/webhooks.md \
    "$(sed -n '/webhook_outcomes\[\] = {/,/};/p' "$root/src/pg/worker_numbers.hpp" | grep -oE '"[a-z_]+"' | tr -d '"' | sort)" \
    "$(sed -n '/^## What comes back/,/^Nothing/p' "$root/docs/webhooks.md" | awk -F'|' '/^\| [0-9]/ { print $3 }' |
      grep -oE '[a-z_]+' | sort)"
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

# Limits, by the name that programs know them by: what raises them, and the page.
check_limits() {
  local coded
  coded=$(cd "$root/src" && {
    grep -rhoE "CONSTRAINT = '[a-z_]+'" schema
    find schema -name '*.sql' -exec perl -0777 -ne 'print "$1\n" while /CONSTRAINT = CASE(.*?) END/gs' {} +
    grep -rhoE "raise_parameter_limit\([^)]*, '[a-z_]+'" schema
    grep -rhoE 'PG_DIAG_CONSTRAINT_NAME, "[a-z_]+"' functions
  } | grep -oE "['\"][a-z_]+['\"]" | tr -d "'\"" | sort -u)
  compare_with_docs "limits" docs/drivers.md "$coded" "$(
    sed -n '/^| SQLSTATE | CONSTRAINT/,/^$/p' "$root/docs/drivers.md" | cut -d '|' -f 3 | grep -oE '`[a-z_]+`' |
      tr -d '`' | sort -u)"
}

# Mistakes that scripts/try-mistakes puts into the code: each must find its place there, or nobody tries it any more.
check_mistakes() {
  local lost
  if lost=$("$root/scripts/try-mistakes" --list 2>&1 >/dev/null); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    say "  test/mistakes: what is to be changed does not stand in the code any more:"
    sed 's/^/    /' <<<"$lost"
  fi
}

# The table of docs/metrics.md is the list of metrics.
check_metrics_page() {
  compare_with_docs metrics docs/metrics.md "$("$root/scripts/make-metrics-page" --table)" \
    "$(sed -n '/^| metric |/,/^$/p' "$root/docs/metrics.md" | sed '/^$/d')"
}

# monitoring/: the query files are those that the list of metrics makes; rules and board ask for metrics that there are;
# each rule has a section of its own, where it leads to, and a test in which it fires.
check_monitoring() {
  local made=$workspace/monitoring pack=$root/monitoring file rules strangers
  mkdir -p "$made"
  "$root/scripts/make-monitoring" "$made" || true
  for file in prometheus-postgres-exporter.yml prometheus-sql-exporter.yml; do
    if cmp -s "$made/$file" "$pack/$file"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      say "  monitoring/$file is not what scripts/make-monitoring makes"
    fi
  done
  strangers=$(grep -ohE '\bpg_seats_[a-z_]+' "$pack/alerts.yml" "$pack/board.json" |
    sed -E 's/_seconds_(bucket|sum|count)$/_seconds/' | sort -u |
    grep -vxFf <(grep -oE "'pg_seats_[a-z_]+'" "$root/src/schema/health/metric_definitions.sql" | tr -d "'") || true)
  compare_with_docs "metrics that there are" "monitoring/alerts.yml and board.json" none "${strangers:-none}"
  rules=$(sed -n 's/^ *- alert: //p' "$pack/alerts.yml" | sort)
  compare_with_docs rules "docs/on-call.md (What Prometheus tells)" "$rules" \
    "$(sed -n '/^## What Prometheus tells/,$s/^### //p' "$root/docs/on-call.md" | sort)"
  compare_with_docs "where rules lead to" monitoring/alerts.yml \
    "$(sed -n 's/^ *- alert: //p' "$pack/alerts.yml" | tr '[:upper:]' '[:lower:]')" \
    "$(sed -n 's,^ *runbook_url: https://docs.invalid/on-call.md#,,p' "$pack/alerts.yml")"
  compare_with_docs rules "monitoring/alerts.test.yml and alerts.days.test.yml (as what fires)" "$rules" \
    "$(grep -ohE 'alertname="[A-Za-z]+"' "$pack"/alerts*.test.yml | cut -d '"' -f 2 | sort -u)"
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
# everybody else has its line of the table. In SQL, in the rooms whose kinds they are (seats, payments, news) and in
# kinds.sql; but for indexes, and for the one question that needs it as it stands.
check_kinds() {
  local kinds asked
  kinds=$(sed -n 's/.*\.name = "\([a-z_]*\)".*/\1/p' "$root"/src/kinds/*.cpp | sort)
  compare_with_docs "kinds of rows" src/schema/kinds.sql "$kinds" "$(list_rows kinds.sql | cut -d ' ' -f 1 | sort)"
  compare_with_docs "kinds of rows" src/kinds/README.md "$kinds" \
    "$(sed '/^| in the table/,$d' "$root/src/kinds/README.md" | first_cells '# Kinds of rows' | sort)"
  kinds=$(paste -sd '|' <<<"$kinds")
  asked=$(cd "$root" && {
    grep -nE "kind (=|<>|==|!=|IN \(|OPERATOR\([a-z_.]*=\)) *['\"]($kinds)['\"]|kind\)*, \"($kinds)\"|CASE [a-z.]*kind|\b($kinds)_kind\b" \
      src/{core,pg,engine,process,functions}/*.?pp
    find src/schema -name '*.sql' ! -path 'src/schema/seats/*' ! -path 'src/schema/payments/*' \
      ! -path 'src/schema/news/*' ! -name kinds.sql -print0 |
      xargs -0 grep -nE "kind *(=|<>|!=|(NOT )?IN \(|(=|<>) (ANY|ALL) \() *(ARRAY\[)?'\{?($kinds)\b|WHEN '($kinds)'" |
      grep -vE '^src/schema/outbox/(tables\.sql:[0-9]+:CREATE INDEX outbox_(read_by_team|read_by_payment|payment_list) |retention\.sql:.* r\.team_id IS NOT NULL\))'
  } || true)
  if [[ -n $kinds && -z $asked ]]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  say "  asks for a kind of rows by its name, not its table:"
  sed 's/^/    /' <<<"$asked"
}
