# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# Building: the extension for one PostgreSQL, and the C++ tests with the simulator.
# Sourced by scripts/check and scripts/demo.
#
# Object files live in build/, one directory per PostgreSQL, so that the next run compiles only what
# has changed, versions do not meet, and the source tree stays clean.

build_dir=
extension_tree=
# The extension is built for tests, with debug points. Somebody who only looks at the demo may have a compiler
# with other warnings.
warnings_are_errors=
cxx_dir=
postgres_copy=
postgres_bin=
postgres_pgxs=
postgres_env=()

# Names the build directories. Two installations of the same version (a distribution's and one with
# assertions) are two directories.
set_build_dirs() {
  local version place
  version=$("$PG_CONFIG" --version | cut -d ' ' -f 2)
  place=$("$PG_CONFIG" --pkglibdir | cksum)
  build_dir=$root/build/postgresql-$version-${place%% *}
  extension_tree=$build_dir/tree
  cxx_dir=$root/build/cxx
}

# The files of the source tree that are sources, relative to it.
source_files() {
  find . \( -path ./.git -o -path ./build -o -name node_modules -o -name tmp_check -o -name results \
    -o -name output_iso \) -prune -o -type f \
    ! -name '*.o' ! -name '*.d' ! -name '*.so' ! -name '*.bc' ! -name '*.a' -print | LC_ALL=C sort
}

# Brings the copy of the source tree up to date. Times are kept, so make compiles what has changed.
refresh_extension_tree() {
  local list=$build_dir/files gone
  mkdir -p "$extension_tree"
  # Other flags, other objects: make does not see that.
  if ! cmp -s "$root/Makefile" "$extension_tree/Makefile"; then
    rm -rf "$extension_tree" "$list"
    mkdir -p "$extension_tree"
  fi
  (cd "$root" && source_files) >"$list.new"
  if [[ -e $list ]]; then
    while IFS= read -r gone; do
      rm -f "$extension_tree/$gone" "$extension_tree/${gone%.cpp}.o"
    done < <(LC_ALL=C comm -23 "$list" "$list.new")
  fi
  mv "$list.new" "$list"
  # A file may vanish under an editor between the two commands.
  tar -C "$root" --ignore-failed-read -T "$list" -cf - 2>/dev/null | tar -C "$extension_tree" -xf -
}

# Sets postgres_copy: a copy of PostgreSQL in the workspace with the extension installed into it.
# PostgreSQL finds its files relative to its programs, so such a copy works as it is, and the system
# gets nothing installed. (Links instead of copies would be resolved, and lead out again.)
copy_postgres() {
  local bindir libdir place places=()
  bindir=$("$PG_CONFIG" --bindir)
  libdir=$("$PG_CONFIG" --libdir)
  postgres_copy=$workspace/postgres
  for place in "$bindir" "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --pkglibdir)"; do
    places+=("${place#/}")
  done
  # libpq of a PostgreSQL that was built from source. A distribution's lies in a system directory,
  # where every program finds it.
  if [[ -e $libdir/libpq.so && $libdir != /usr/lib/*-linux-gnu* && $libdir != /usr/lib ]]; then
    while IFS= read -r place; do
      places+=("${place#/}")
    done < <(find "$libdir" -maxdepth 1 -name 'lib*.so*')
  fi
  mkdir -p "$postgres_copy" "$workspace/tests"
  # `set -e` is off below an `if` or `||`, so each command says that it may fail.
  tar -C / -cf - "${places[@]}" | tar -C "$postgres_copy" -xf - --no-same-owner || return
  make -C "$extension_tree" -s PG_CONFIG="$PG_CONFIG" DESTDIR="$postgres_copy" install \
    >>"$workspace/build.log" 2>&1 || return
  # What every upgrade makes anew, as an upgrade of its own: 55_made_again looks whether all stays as it was.
  local version again
  version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$extension_tree/pg_seats.control")
  again=$postgres_copy$("$PG_CONFIG" --sharedir)/extension/pg_seats--$version--again.sql
  (cd "$extension_tree/src/schema" && sed '1,/^# replaceable$/d; /^#/d; /^$/d' order | xargs cat) >"$again" || return
  # The tests are copied, too: the servers' user may not be able to read the source tree.
  for place in sql expected test monitoring examples console; do
    if [[ -d $extension_tree/$place ]]; then
      cp -r "$extension_tree/$place" "$workspace/tests/" || return
    fi
  done
  # One plans as the worker does, and looks how in its sources.
  mkdir -p "$workspace/tests/src/process" || return
  cp "$extension_tree/src/process/life.cpp" "$workspace/tests/src/process/" || return
  # Some run the examples of a page as they stand there, or compare with what it lists.
  mkdir -p "$workspace/tests/docs" || return
  cp "$extension_tree"/docs/*.md "$workspace/tests/docs/" || return
  chmod -R a+rX "$workspace/tests" "$postgres_copy" || return

  postgres_bin=$postgres_copy$bindir
  postgres_pgxs=$postgres_copy$("$PG_CONFIG" --pkglibdir)/pgxs/src
  # Nothing of the caller's environment: a proxy, PGOPTIONS or a locale would change what is tested.
  postgres_env=(-i
    "PATH=$postgres_bin:/usr/local/bin:/usr/bin:/bin"
    # The programs name the original library directory, which others may not be able to read.
    "LD_LIBRARY_PATH=$postgres_copy$libdir"
    "HOME=$workspace/tmp"
    "TMPDIR=$workspace/tmp"
    # Servers get UTF8.
    "LANG=C.UTF-8"
    "PG_REGRESS=$postgres_pgxs/test/regress/pg_regress"
  )
  # But sanitizers are switched on that way, and tests told what to do.
  local variable
  for variable in LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS NODE_PATH SEED SEEDS ROUNDS; do
    if [[ -n ${!variable:-} ]]; then
      postgres_env+=("$variable=${!variable}")
    fi
  done
}

# One at a time for each directory: somebody else may be checking the same tree.
with_lock() {
  local directory=$1 status=0
  shift
  mkdir -p "$directory"
  exec 9>"$directory/lock"
  if ! flock -n 9; then
    say "  another run uses $directory; waiting"
    flock 9
  fi
  "$@" || status=$?
  exec 9>&-
  return "$status"
}

# PGXS sets variables such as INSTALL_SCRIPT to install's command line. A Makefile that takes one of
# them for a name of its own gets a target /usr/bin/install, and root's make overwrites it.
makefile_is_safe() {
  local clash
  clash=$(grep -nE '^(override )?INSTALL[A-Z_]* *[:?+]?=' "$extension_tree/Makefile") || return 0
  say "  refused: the Makefile uses a variable that belongs to PGXS, and could overwrite"
  say "  /usr/bin/install: line $clash"
  echo "refused: $clash" >"$workspace/build.log"
  return 1
}

# A new version in the control file must reach what has it compiled in, or library and extension do not fit.
version_is_compiled_anew() {
  local file plan
  plan=$(make -C "$extension_tree" -n -W pg_seats.control PG_CONFIG="$PG_CONFIG" all 2>&1) || return
  for file in $(cd "$extension_tree" && grep -l PG_SEATS_VERSION src/*/*.cpp); do
    if [[ $plan != *" $file"* ]]; then
      say "  refused: a new version in pg_seats.control would not compile $file anew"
      echo "a new version would not compile $file" >>"$workspace/build.log"
      return 1
    fi
  done
}

build_extension_step() {
  refresh_extension_tree &&
    makefile_is_safe &&
    run_limited 900 "$workspace/build.log" show_progress \
      make -C "$extension_tree" -j"$jobs" PG_CONFIG="$PG_CONFIG" PG_SEATS_TEST=1 \
      ${warnings_are_errors:+WERROR=1} all test-modules release-objects &&
    version_is_compiled_anew &&
    copy_postgres
}

build_cxx_step() {
  # shellcheck disable=SC2016 # the inner shell is to expand them
  run_limited 900 "$workspace/build-cxx.log" show_progress bash -euc '
    cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo $4
    cmake --build "$2" -j "$3"' build-cxx "$root" "$cxx_dir" "$jobs" "${warnings_are_errors:+-DPG_SEATS_WERROR=ON}" &&
    copy_simulator
}

# The simulator alone; the next build of everything goes on from there.
build_simulator_step() {
  # shellcheck disable=SC2016 # the inner shell is to expand them
  run_limited 900 "$workspace/build-cxx.log" show_progress bash -euc '
    cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo $4
    cmake --build "$2" -j "$3" --target stripe-simulator' build-cxx "$root" "$cxx_dir" "$jobs" \
    "${warnings_are_errors:+-DPG_SEATS_WERROR=ON}" &&
    copy_simulator
}

# What is written in JavaScript, and what tests do with Node, needs packages: those of the one package-lock.json. Kept in
# build/node, with the caller's npm configuration. Without them what needs them is skipped, or a part of it, and says so.
no_node_packages=
download_node_packages() {
  local directory=$root/build/node
  if [[ -n $no_node_packages ]]; then
    return 1
  fi
  if cmp -s "$root/package-lock.json" "$directory/fetched"; then
    return
  fi
  if ! command -v npm >/dev/null; then
    say "  (there is no npm: what is tried with Node is skipped)"
    no_node_packages=1
    return 1
  fi
  mkdir -p "$directory"
  (cd "$root" && tar -cf - package.json package-lock.json examples/*/package.json console/package.json \
    test/*/package.json) | tar -C "$directory" -xf -
  if ! timeout 120 npm ci --prefix "$directory" --no-audit --no-fund --ignore-scripts \
    >"$workspace/npm.log" 2>&1 </dev/null; then
    say "  (npm could not fetch what package-lock.json names: what is tried with Node is skipped)"
    no_node_packages=1
    return 1
  fi
  cp "$root/package-lock.json" "$directory/fetched"
}

# The version that the servers' user gets, or nothing.
node_version() {
  env "${postgres_env[@]}" "${server_user[@]}" node --version 2>/dev/null || true
}

# What is written in JavaScript needs Node 20.
node_is_new() {
  [[ $(node_version) =~ ^v([0-9]+) ]] && ((BASH_REMATCH[1] >= 20))
}

# Sets node_packages to a copy where the servers' user can read it, beside the sources, where programs look for it.
node_packages=
fetch_node_packages() {
  if [[ -n $node_packages ]] || ! download_node_packages; then
    return
  fi
  cp -r "$root/build/node/node_modules" "$workspace/tests/node_modules"
  chmod -R a+rX "$workspace/tests/node_modules"
  node_packages=$workspace/tests/node_modules
  postgres_env+=("NODE_PATH=$node_packages")
}

# The pooler of some tests, and the proxy of others. Their packages would start services, so they are unpacked into
# build/, and not installed; without them these tests are skipped and say so.
fetch_pgbouncer() {
  fetch_server pgbouncer PGBOUNCER
}

fetch_nginx() {
  fetch_server nginx NGINX
}

# fetch_server PACKAGE VARIABLE: the program of that name, which tests find by the variable.
fetch_server() {
  local name=$1 variable=$2 directory=$root/build/$1 program
  program=${!variable:-}
  if [[ -z $program ]]; then
    program=$(command -v "$name" || echo "$directory/usr/sbin/$name")
  fi
  if [[ ! -x $program ]]; then
    mkdir -p "$directory"
    if ! (cd "$directory" && apt-get download "$name" && dpkg -x "$name"_*.deb .) \
      >"$workspace/$name.log" 2>&1 </dev/null; then
      say "  ($name could not be fetched: what is tried with it is skipped)"
      return
    fi
  fi
  mkdir -p "$workspace/bin"
  cp "$program" "$workspace/bin/$name"
  chmod a+rx "$workspace/bin/$name"
  postgres_env+=("$variable=$workspace/bin/$name")
}

# A copy, because another run may link it anew while this one uses it.
copy_simulator() {
  local program
  program=$(find "$cxx_dir" -type f -name stripe-simulator -perm -u+x -print -quit)
  if [[ -n $program ]]; then
    mkdir -p "$workspace/bin"
    cp "$program" "$workspace/bin/"
    chmod a+rx "$workspace/bin/stripe-simulator"
  fi
}

build_failed() {
  failed=1
  note="does not build"
  say "  $1 does not build; the end of its log:"
  tail -n 15 "$2" | sed 's/^/    /'
}
