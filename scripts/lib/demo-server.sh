# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the script that sources this
# A PostgreSQL with the extension, the Stripe simulator and a webhook relay: what scripts/demo shows, and what the
# stage pages of scripts/check opens in a browser. Sourced by both. What is started here is found by its working
# directory, and ended with the workspace.
#
# In server_dir lie the socket, and beside it the ports: stripe-port, control-port, relay-port. So whoever has its path
# as PGHOST finds everything.

server_dir=
stripe=
# Why it does not run, and where that can be read.
server_trouble=
server_trouble_log=

# Sets server_dir and stripe; the database is called demo, and is empty.
start_demo_server() {
  server_dir=$workspace/server
  make_server_dir "$server_dir" && make_server_dir "$server_dir/log" &&
    start_simulator && start_postgres && start_relay
}

server_fails() {
  server_trouble=$1
  server_trouble_log=$2
  return 1
}

# as_server PROGRAM ARGUMENT…: as the servers' user, in an environment of its own.
as_server() {
  "${server_user[@]}" env -C "$server_dir" "${postgres_env[@]}" "$@"
}

await_file() {
  local attempt
  for ((attempt = 0; attempt < 300; attempt++)); do
    [[ -s $1 ]] && return
    sleep 0.1
  done
  return 1
}

start_simulator() {
  as_server "$workspace/bin/stripe-simulator" --seed 1 \
    --port 0 --port-file "$server_dir/stripe-port" \
    --control-port 0 --control-port-file "$server_dir/control-port" \
    >"$workspace/simulator.log" 2>&1 </dev/null &
  if ! { await_file "$server_dir/stripe-port" && await_file "$server_dir/control-port"; }; then
    server_fails "the simulator does not start" "$workspace/simulator.log"
    return
  fi
  stripe=http://127.0.0.1:$(<"$server_dir/stripe-port")
}

# What passes webhooks on, as an application would: scripts/demo-chapters/relay.
start_relay() {
  as_server env "PGHOST=$server_dir" PGUSER=postgres PGDATABASE=demo \
    "$workspace/tests/demo-chapters/relay" "$server_dir/relay-port" \
    >"$workspace/relay.log" 2>&1 </dev/null &
  await_file "$server_dir/relay-port" || server_fails "the relay does not start" "$workspace/relay.log"
}

# Below `||` and `&&` nothing ends at the first error by itself, so each command says that it may fail.
start_postgres() {
  make_server_dir "$server_dir/secrets" && chmod 700 "$server_dir/secrets" || return
  # shellcheck disable=SC2016 # the inner shell is to expand it
  as_server bash -euc 'umask 077; printf sk_test_simulator >"$1/stripe_key"
    printf whsec_demo >"$1/stripe_webhook"' secrets "$server_dir/secrets" || return
  if ! as_server initdb -D data -U postgres -A trust -E UTF8 --no-locale -N --no-instructions \
    >"$workspace/initdb.log" 2>&1; then
    server_fails "initdb fails" "$workspace/initdb.log"
    return
  fi
  # The pause before a repetition is shorter than usual, so that nobody has to wait for it; and a busy
  # machine may take longer than an application should wait. It is thrown away, so no disk need be waited for.
  as_server tee -a data/postgresql.conf >/dev/null <<CONF || return
listen_addresses = ''
unix_socket_directories = '$server_dir'
unix_socket_permissions = 0700
fsync = off
shared_preload_libraries = 'pg_seats'
pg_seats.secrets_directory = '$server_dir/secrets'
pg_seats.retry_delay = '200ms'
pg_seats.default_wait = '30s'
CONF
  if ! as_server pg_ctl -D data -l log/server.log -w -s start >"$workspace/start.log" 2>&1; then
    server_fails "PostgreSQL does not start" "$server_dir/log/server.log"
    return
  fi
  as_server createdb -h "$server_dir" -U postgres demo
}

demo_psql() {
  env "${postgres_env[@]}" \
    "PATH=$workspace/tests/demo-chapters:$postgres_bin:/usr/local/bin:/usr/bin:/bin" \
    "PGHOST=$server_dir" PGUSER=postgres PGDATABASE=demo \
    psql -X -q -v ON_ERROR_STOP=1 -v SHOW_CONTEXT=never -v "stripe=$stripe" -P footer=off -P pager=off "$@"
}

# In order, so that its log tells of nothing that a search for trouble would find.
stop_demo_server() {
  as_server pg_ctl -D data -w -m fast -s stop >>"$workspace/start.log" 2>&1 || true
  end_leftover_processes
}

copy_demo_chapters() {
  cp -r "$root/scripts/demo-chapters" "$workspace/tests/" && chmod -R a+rX "$workspace/tests/demo-chapters"
}
