// A module for test/scenarios/03_border.pl: raises and throws in every way over the border of
// src/pg/error.hpp. It is loaded into a server of the test only, and nothing of it is installed.
#include <stdexcept>

#include "pg/error.hpp"

extern "C" {
#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "border", .version = "test");
#else
PG_MODULE_MAGIC;
#endif
}

using pg_seats::pg::guard;
using pg_seats::pg::ServerError;
using pg_seats::pg::SqlError;

namespace {

// How many objects are alive whose destructors must run whatever happens.
int alive = 0;

struct Counted {
    Counted() { ++alive; }
    Counted(const Counted& /*other*/) { ++alive; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    std::string text = "long enough to be on the heap and not within the object itself";
};

// --- the server's side: raises, holds no C++ objects ------------------------------------------

void raise_with_everything() {
    ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("raised by the server"),
                    errdetail("with a detail"), errhint("and a hint")));
}

int add_one(int number) {
    return number + 1;
}

void raise_division_by_zero() {
    DirectFunctionCall2(int4div, Int32GetDatum(1), Int32GetDatum(0));
}

void sleep_until_cancelled() {
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        pg_usleep(1'000);
    }
}

void ask_for_too_much_memory() {
    palloc(MaxAllocSize + 1);
}

void raise_within_callback() {
    ErrorContextCallback callback{};
    callback.callback = [](void* /*argument*/) { errcontext("in a frame that is gone"); };
    callback.previous = error_context_stack;
    error_context_stack = &callback;
    raise_with_everything();
}

// --- C++ frames that must be unwound ----------------------------------------------------------

template <int frames, class Body>
auto through_frames(Body body) -> decltype(body()) {
    const Counted here;
    if constexpr (frames > 0) {
        return through_frames<frames - 1>(body);
    } else {
        return body();
    }
}

[[noreturn]] void throw_kind(const std::string& kind) {
    if (kind == "std::exception") {
        throw std::runtime_error("thrown by C++");
    }
    if (kind == "bad_alloc") {
        throw std::bad_alloc();
    }
    if (kind == "real bad_alloc") {
        // Volatile, or the compiler sees that nobody uses it and leaves it out.
        volatile std::size_t size = static_cast<std::size_t>(-1) / 4;
        std::string text;
        text.reserve(size);
        throw std::logic_error("there was memory");
    }
    if (kind == "int") {
        throw 42;
    }
    if (kind == "long") {
        throw SqlError(ERRCODE_RAISE_EXCEPTION, std::string(5'000, 'm'), std::string(5'000, 'd'),
                       std::string(5'000, 'h'));
    }
    if (kind == "umlauts") {
        std::string umlauts = "x";
        for (int i = 0; i < 5'000; ++i) {
            umlauts += "\u00e4";
        }
        throw SqlError(ERRCODE_RAISE_EXCEPTION, umlauts, umlauts, umlauts);
    }
    if (kind == "percent") {
        throw SqlError(ERRCODE_RAISE_EXCEPTION, "%s %n 100 %", "%s%s", "%d");
    }
    throw SqlError(MAKE_SQLSTATE('P', 'S', '0', '0', '7'), "said by C++", "in detail",
                   "with a hint");
}

std::string argument_of(FunctionCallInfo fcinfo) {
    const ::text* value = guard(
        +[](Datum datum) { return DatumGetTextPP(datum); }, PG_GETARG_DATUM(0));
    return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

Datum text_datum(const std::string& value) {
    return guard(
        +[](const char* data, int size) {
            return PointerGetDatum(cstring_to_text_with_len(data, size));
        },
        value.data(), static_cast<int>(value.size()));
}

}  // namespace

// Objects alive and depth of the server's jump buffers: both are as before after every error.
PG_SEATS_FUNCTION(border_alive) {
    return Int32GetDatum(alive);
}

PG_SEATS_FUNCTION(border_throw) {
    const std::string kind = argument_of(fcinfo);
    return through_frames<5>([&]() -> Datum { throw_kind(kind); });
}

PG_SEATS_FUNCTION(border_server) {
    const std::string kind = argument_of(fcinfo);
    return through_frames<5>([&]() -> Datum {
        if (kind == "everything") {
            guard(raise_with_everything);
        } else if (kind == "division") {
            guard(raise_division_by_zero);
        } else if (kind == "memory") {
            guard(ask_for_too_much_memory);
        } else {
            guard(sleep_until_cancelled);
        }
        return Datum{0};
    });
}

// An error is caught in C++ and the function goes on. More often than the server can stack errors.
PG_SEATS_FUNCTION(border_catch) {
    std::string seen;
    for (int i = 0; i < 100; ++i) {
        const ErrorContextCallback* const callbacks = error_context_stack;
        const sigjmp_buf* const stack = PG_exception_stack;
        const MemoryContext context = CurrentMemoryContext;
        try {
            through_frames<3>([] { guard(raise_within_callback); });
        } catch (const ServerError& error) {
            seen = error.what();
        }
        if (callbacks != error_context_stack || stack != PG_exception_stack ||
            context != CurrentMemoryContext) {
            throw SqlError(ERRCODE_INTERNAL_ERROR, "the guard left something behind");
        }
    }
    return text_datum(seen + ", " + std::to_string(guard(add_one, 41)));
}

// A function under the guard throws, instead of raising: what the server jumps to and calls for the
// error's context is as before, and so the next error finds its way.
PG_SEATS_FUNCTION(border_throw_under_guard) {
    static_cast<void>(fcinfo);
    const ErrorContextCallback* const callbacks = error_context_stack;
    const sigjmp_buf* const stack = PG_exception_stack;
    try {
        guard(+[] { throw_kind("SqlError"); });
    } catch (const SqlError&) {
        if (callbacks != error_context_stack || stack != PG_exception_stack) {
            // (Put right by hand: or the error about it would jump into a frame that is gone.)
            PG_exception_stack = const_cast<sigjmp_buf*>(stack);
            error_context_stack = const_cast<ErrorContextCallback*>(callbacks);
            throw SqlError(ERRCODE_INTERNAL_ERROR, "the guard left something behind");
        }
    }
    guard(raise_with_everything);
    return Datum{0};
}

// C++ -> server -> C++ -> server …, so deep; thrown or raised at the bottom.
PG_SEATS_FUNCTION(border_nested) {
    const int depth = PG_GETARG_INT32(0);
    return through_frames<2>([&]() -> Datum {
        if (depth == 0) {
            throw_kind("SqlError");
        }
        if (depth == -1) {
            guard(raise_with_everything);
        }
        return guard(
            +[](int next) { return DirectFunctionCall1(border_nested, Int32GetDatum(next)); },
            depth > 0 ? depth - 1 : depth + 1);
    });
}

// The server catches what C++ threw, as plpgsql does: in PG_TRY, and goes on.
static Datum catch_in_server() {
    Datum volatile message = Datum{0};
    const MemoryContext context = CurrentMemoryContext;
    PG_TRY();
    { DirectFunctionCall1(border_throw, CStringGetTextDatum("SqlError")); }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* data = CopyErrorData();
        FlushErrorState();
        message = CStringGetTextDatum(psprintf("caught: %s", data->message));
    }
    PG_END_TRY();
    return message;
}

PG_SEATS_FUNCTION(border_in_pg_try) {
    return through_frames<2>([] { return guard(catch_in_server); });
}

// What must not be done, and what the border makes the best of: an exception through a PG_TRY.
PG_SEATS_FUNCTION(border_through_pg_try) {
    PG_TRY();
    { throw_kind("SqlError"); }
    PG_CATCH();
    { PG_RE_THROW(); }
    PG_END_TRY();
    return Datum{0};
}

// A callback that must not raise: what is thrown in it is dropped.
PG_SEATS_FUNCTION(border_quiet) {
    pg_seats::pg::border_quiet([] { through_frames<5>([] { throw_kind("std::exception"); }); });
    pg_seats::pg::border_quiet([] { through_frames<5>([] { guard(raise_with_everything); }); });
    return Datum{1};
}
