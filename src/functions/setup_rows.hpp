// Rows of the small setup tables (destination, installation, call_grant, webhook_endpoint), read
// the way the server reads its catalogs: a statement through SPI costs three times as much, and
// these are on every application's path. What is read is the latest committed state and our own
// transaction's.
//
// These raise and hold no C++ objects: they are called below a guard. They need no privilege.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/uuid.h"
}

namespace pg_seats {

struct DestinationRow {
    char kind[NAMEDATALEN];
};

bool find_destination(Datum name, DestinationRow* row);

bool find_installation(pg_uuid_t* uuid);

// Names of the files with a webhook endpoint's signing secrets, at most so many; -1: there is no
// such endpoint.
int find_webhook_secrets(Datum endpoint, const char** names, int most);

// Who wants to make a call, and the function that was called for it.
struct Asker {
    Oid role;
    Oid function;
};

// True if the caller, or a role whose privileges he has, may make this call.
bool has_call_grant(const Asker& asker, Datum destination, Datum method, std::string_view path);

}  // namespace pg_seats
