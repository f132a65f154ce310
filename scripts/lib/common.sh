# shellcheck shell=bash
# What the scripts share: messages, root rights, packages, time limits.
# Sourced, not run.

say() {
  printf '%s\n' "$*"
}

warn() {
  printf '%s\n' "$*" >&2
}

die() {
  warn "$(basename "$0"): $*"
  exit 1
}

# As root the command runs as it is; an ordinary user needs sudo.
with_root_rights() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "root rights are needed for: $* (run it as root, or install sudo)"
  fi
}

# The SQL of README.md's "Try it yourself", with the results that it promises as comments.
readme_walk() {
  awk '/^## /{ inside = /^## Try it yourself/ } /^```/{ sql = /^```sql/; next } inside && sql' "$1"
}

package_is_installed() {
  local status
  status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) || return 1
  [[ $status == installed ]]
}

# Installs those of the given Debian packages that are missing. Where all are there, neither root
# rights nor a network are needed.
install_missing_packages() {
  local package missing=()
  for package in "$@"; do
    package_is_installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    say "packages: nothing to install"
    return
  fi
  # The headers want the very minor version of the server. Naming both lets apt move both.
  for package in "${missing[@]}"; do
    if [[ $package == postgresql-server-dev-* ]]; then
      missing+=("postgresql-${package##*-}")
    fi
  done
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  say "packages: installing ${missing[*]}"
  local log
  log=$(mktemp)
  if ! {
    with_root_rights apt-get update &&
      with_root_rights env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
  } 2>&1 </dev/null | tee "$log" | show_progress; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "the packages could not be installed"
  fi
  rm -f "$log"
}

# Shows from a command's output how far it is: on a terminal in one line that moves, elsewhere in a
# line now and then. Understands ninja, ctest ("[3/90]", "3/90 Test"), make (a line for each file that
# is compiled) and apt. What tells of something wrong is shown as it is.
show_progress() {
  local line step='' shown='' compiled=0 next=$((SECONDS + 15)) wrong=0
  while IFS= read -r line; do
    if [[ $line =~ (error|warning):\ |Error\ [0-9]+$|CMake\ Error|undefined\ reference|\*\*\*(Failed|Timeout|Exception) ]]; then
      if ((++wrong <= 15)); then
        clear_progress "$shown"
        shown=
        say "  $line"
      fi
      continue
    elif [[ $line =~ ^\ *\[?([0-9]+)/([0-9]+)(\]|\ Test) ]]; then
      step="${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    elif [[ $line =~ \ ([^\ ]+\.cpp)$ ]]; then
      step="$((++compiled)) compiled, ${BASH_REMATCH[1]}"
    elif [[ $line =~ ^(Unpacking|Setting\ up)\ ([^\ ]+) ]]; then
      step="${BASH_REMATCH[1],} ${BASH_REMATCH[2]}"
    elif [[ $line =~ ^Get:[0-9]+\  ]]; then
      step=downloading
    else
      continue
    fi
    if [[ -t 1 ]]; then
      printf '\r\033[K    %.70s' "$step"
      shown=1
    elif ((SECONDS >= next)); then
      say "    $step"
      next=$((SECONDS + 15))
    fi
  done
  clear_progress "$shown"
}

clear_progress() {
  if [[ -n $1 ]]; then
    printf '\r\033[K'
  fi
}

# 75 -> "1 min 15 s"
duration() {
  local seconds=$1
  if ((seconds >= 60)); then
    printf '%d min %d s' $((seconds / 60)) $((seconds % 60))
  else
    printf '%d s' "$seconds"
  fi
}
