// The border between exceptions and the server's longjmp, both ways.
//
//   server -> C++   guard(function, arguments...) runs a *static function without C++ objects* that
//                   may raise, and turns what it raises into a ServerError.
//   C++ -> server   every SQL function, hook and callback is declared through a macro of this
//                   header: exceptions end there and are raised as errors, SQLSTATE kept.
//
// A guard does not roll anything back: whoever catches a ServerError aborts the transaction
// (worker) or lets it go on to the border (functions).
#pragma once

#include "pg/postgres.hpp"

namespace pg_seats::pg {

// Raised by the server, caught by guard(). The ErrorData lives as long as the transaction.
class ServerError : public std::exception {
  public:
    explicit ServerError(ErrorData* data) : data_(data) {}
    [[nodiscard]] const char* what() const noexcept override {
        return data_->message != nullptr ? data_->message : "error without a message";
    }
    [[nodiscard]] ErrorData* data() const noexcept { return data_; }

  private:
    ErrorData* data_;
};

// Raised by C++ code that has something to say to a SQL user.
class SqlError : public std::exception {
  public:
    SqlError(int sqlstate, std::string message, std::string detail = {}, std::string hint = {})
        : sqlstate_(sqlstate),
          message_(std::move(message)),
          detail_(std::move(detail)),
          hint_(std::move(hint)) {}
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
    [[nodiscard]] int sqlstate() const noexcept { return sqlstate_; }
    [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

  private:
    int sqlstate_;
    std::string message_, detail_, hint_;
};

// An error on its way over the border: no destructor, so that a longjmp may skip it.
struct BorderError {
    int sqlstate;
    ErrorData* original;  // raised by the server: it goes on as it came
    char message[1024];
    char detail[1024];
    char hint[512];
};

// To be called inside a catch (...) block only: describes the exception that is being handled.
void describe_current_exception(BorderError& error) noexcept;

[[noreturn]] void raise(const BorderError& error);

namespace detail {

// Where the server jumps to when something raises, and whom it asks for the error's context.
class Stacks {
  public:
    Stacks() noexcept : exceptions_(PG_exception_stack), callbacks_(error_context_stack) {}
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;
    ~Stacks() { restore(); }
    void restore() const noexcept {
        PG_exception_stack = exceptions_;
        error_context_stack = callbacks_;
    }

  private:
    sigjmp_buf* exceptions_;
    ErrorContextCallback* callbacks_;
};

// Copies the server's error and clears it, or gives nullptr if even that raised (out of memory).
ErrorData* take_server_error(MemoryContext context) noexcept;
}  // namespace detail

// Runs `function`, which may raise and must not hold C++ objects. Arguments and result are plain
// values (numbers, pointers, views).
template <class Result, class... Parameters, class... Arguments>
Result guard(Result (*function)(Parameters...), Arguments... arguments) {
    static_assert((std::is_trivially_destructible_v<Parameters> && ...),
                  "a longjmp would skip the destructor of an argument");
    static_assert(std::is_void_v<Result> || std::is_trivially_destructible_v<Result>);
    MemoryContext const context = CurrentMemoryContext;
    sigjmp_buf here;
    // Whichever way this frame is left: `here` is gone with it. (A function that the server calls
    // back may throw through all of this.)
    const detail::Stacks stacks;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        return function(arguments...);
    }
    stacks.restore();
    ErrorData* const data = detail::take_server_error(context);
    if (data == nullptr) {
        throw std::bad_alloc();
    }
    throw ServerError(data);
}

// Runs C++ code on the server's side of the border: what it throws is raised as an error, after
// every C++ object is gone.
template <class Body, class... Arguments>
auto border(Body body, Arguments... arguments) -> decltype(body(arguments...)) {
    using Result = decltype(body(arguments...));
    sigjmp_buf* const outer_stack = PG_exception_stack;
    ErrorContextCallback* const outer_callbacks = error_context_stack;
    BorderError error;
    try {
        if constexpr (std::is_void_v<Result>) {
            body(arguments...);
            return;
        } else {
            return body(arguments...);
        }
    } catch (...) {
        describe_current_exception(error);
    }
    // An exception thrown inside one of the server's own PG_TRY blocks would have left these
    // pointing into a dead frame.
    PG_exception_stack = outer_stack;
    error_context_stack = outer_callbacks;
    raise(error);
}

// For callbacks where raising would be a PANIC (after commit): the exception is dropped, the code
// inside must not need it.
template <class Body, class... Arguments>
void border_quiet(Body body, Arguments... arguments) noexcept {
    try {
        body(arguments...);
    } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody to tell
    }
}

}  // namespace pg_seats::pg

// Declares the SQL-callable function `name`; a body follows, in which exceptions are welcome.
#define PG_SEATS_FUNCTION(name)                           \
    extern "C" {                                          \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);             \
    PG_FUNCTION_INFO_V1(name);                            \
    }                                                     \
    static Datum name##_body(FunctionCallInfo fcinfo);    \
    Datum name(PG_FUNCTION_ARGS) {                        \
        return pg_seats::pg::border(name##_body, fcinfo); \
    }                                                     \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
