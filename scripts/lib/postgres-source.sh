# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# PostgreSQL built from Debian's source packages, with assertions. Sourced by scripts/check-versions.
#
# apt is given a state of its own in the cache directory, so that the machine's own apt neither
# learns of newer Debian releases nor needs root for any of this. The mirror is the one that the
# machine is configured for.

# A change here, or of the configure line, builds anew what is cached.
source_build_recipe=1
source_build_packages=(gcc make bison flex perl libreadline-dev zlib1g-dev libssl-dev libicu-dev
  pkg-config xz-utils bzip2)

# Which Debian releases have which PostgreSQL. The security archive often lacks the source that it
# lists, so only the main one is asked.
source_suites() {
  case $1 in
    15) echo bookworm ;;
    17) echo trixie ;;
    18) echo forky sid ;;
    *) die "PostgreSQL $1: not known which Debian release has its source (15, 17, 18)" ;;
  esac
}

versions_cache() {
  printf '%s' "${XDG_CACHE_HOME:-$HOME/.cache}/pg_seats"
}

source_build_prefix() {
  printf '%s/postgresql-%s' "$(versions_cache)" "$1"
}

# "1 PostgreSQL 17.11": recipe and version of what is cached; empty where there is nothing complete.
source_build_stamp() {
  cat "$(source_build_prefix "$1")/.pg_seats-build" 2>/dev/null || true
}

source_build_is_current() {
  local stamp
  stamp=$(source_build_stamp "$1")
  [[ ${stamp%% *} == "$source_build_recipe" ]]
}

debian_mirror() {
  # REPO_URI and LABEL are apt's words, not variables of the shell.
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | head -n 1
}

# Writes a private apt configuration below $1 for the sources of the releases $2…
write_private_apt() {
  local state=$1 mirror suite
  shift
  mirror=$(debian_mirror)
  if [[ -z $mirror ]]; then
    # Without package lists apt does not know yet what its sources are.
    with_root_rights apt-get update >/dev/null
    mirror=$(debian_mirror)
  fi
  [[ -n $mirror ]] || die "apt has no Debian mirror among its configured sources"
  mkdir -p "$state"/{lists/partial,cache/archives/partial,sources}
  : >"$state/status"
  for suite in "$@"; do
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
      "$mirror" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg
  done >"$state/sources/debian.sources"
  cat >"$state/apt.conf" <<END
Dir::State "$state";
Dir::State::status "$state/status";
Dir::State::lists "$state/lists";
Dir::Cache "$state/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$state/sources";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
Acquire::Languages "none";
END
}

# Fetches the newest source of a major version into the directory $2.
fetch_postgres_source() {
  local major=$1 into=$2 suites
  read -ra suites <<<"$(source_suites "$major")"
  write_private_apt "$into/apt" "${suites[@]}"
  (
    cd "$into" || exit
    export APT_CONFIG="$into/apt/apt.conf"
    apt-get update
    apt-get source --download-only "postgresql-$major"
  )
}

# Builds PostgreSQL $1 into the cache. The upstream tarball is taken without Debian's patches, so
# that what is tested is what other systems have, too.
build_postgres() {
  local major=$1 prefix cache work log started=$SECONDS version step
  prefix=$(source_build_prefix "$major")
  cache=$(versions_cache)
  mkdir -p "$cache"
  exec 8>"$cache/postgresql-$major.lock"
  if ! flock -n 8; then
    say "PostgreSQL $major: another run is building it; waiting"
    flock 8
  fi
  if source_build_is_current "$major" && [[ -z ${rebuild:-} ]]; then
    exec 8>&-
    return
  fi
  work=$cache/postgresql-$major.build
  log=$cache/postgresql-$major.log
  rm -rf "$work" "$prefix"
  mkdir -p "$work/source"
  : >"$log"

  for step in fetch configure compile contrib install; do
    say "PostgreSQL $major: $step ($(duration $((SECONDS - started))) so far)"
    if ! build_postgres_step "$step" "$major" "$work" "$prefix" 8>&- </dev/null >>"$log" 2>&1; then
      tail -n 30 "$log" >&2
      warn "PostgreSQL $major: $step failed; the whole log is $log"
      exec 8>&-
      return 1
    fi
  done
  version=$("$prefix/bin/pg_config" --version)
  # Written last: a build that was broken off has no stamp and is done again.
  echo "$source_build_recipe $version" >"$prefix/.pg_seats-build"
  rm -rf "$work"
  say "PostgreSQL $major: built $version in $(duration $((SECONDS - started)))"
  exec 8>&-
}

# Every command says what happens when it fails: `set -e` is off below an `if`. In a subshell, for
# the sake of the working directory.
build_postgres_step() (
  local step=$1 major=$2 work=$3 prefix=$4 jobs tarballs
  jobs=$(nproc)
  case $step in
    fetch)
      fetch_postgres_source "$major" "$work" || return
      # Its signature (.asc) lies beside it.
      tarballs=("$work"/postgresql-"$major"_*.orig.tar.*[!c])
      tar -x --strip-components=1 -C "$work/source" -f "${tarballs[0]}"
      ;;
    configure)
      cd "$work/source" &&
        ./configure --prefix="$prefix" --enable-cassert --enable-tap-tests --enable-debug \
          --with-openssl --with-icu CFLAGS='-O1 -g'
      ;;
    compile) make -C "$work/source" -j"$jobs" ;;
    contrib) make -C "$work/source/contrib" -j"$jobs" ;;
    install)
      make -C "$work/source" install && make -C "$work/source/contrib" install
      ;;
  esac
)
