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
  } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "the packages could not be installed"
  fi
  rm -f "$log"
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
