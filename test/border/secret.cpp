// What is wiped when a secret goes (src/pg/secrets.cpp).
#include "pg/secrets.hpp"

#include "pg/error.hpp"

extern "C" {
// Take the places of the C library's (--wrap): the second is what the first becomes in a hardened
// build.
void __real_explicit_bzero(void* bytes, std::size_t size);
void __wrap_explicit_bzero(void* bytes, std::size_t size);
void __wrap___explicit_bzero_chk(void* bytes, std::size_t size, std::size_t room);
}

using pg_seats::pg::guard;
using pg_seats::pg::Secret;

namespace {

std::string wiped;

}  // namespace

void __wrap_explicit_bzero(void* bytes, std::size_t size) {
    wiped += bytes == nullptr ? "(a null pointer)"
                              : std::string_view(static_cast<const char*>(bytes), size);
    wiped += ' ';
    if (bytes != nullptr) {
        __real_explicit_bzero(bytes, size);
    }
}

void __wrap___explicit_bzero_chk(void* bytes, std::size_t size, std::size_t /*room*/) {
    __wrap_explicit_bzero(bytes, size);
}

// Of four secrets one is empty from the beginning, and two are moved away.
PG_SEATS_FUNCTION(border_wipes) {
    static_cast<void>(fcinfo);
    wiped.clear();
    {
        const Secret empty;
        Secret first("first");
        Secret moved(std::move(first));
        Secret second("second");
        second = std::move(moved);
    }
    return guard(
        +[](const char* said) { return PointerGetDatum(cstring_to_text(said)); }, wiped.c_str());
}
