#include "pg/error.hpp"

#include "pg/fixed_text.hpp"

namespace pg_seats::pg {

void describe_current_exception(BorderError& error) noexcept {
    error.sqlstate = ERRCODE_INTERNAL_ERROR;
    error.original = nullptr;
    error.message[0] = error.detail[0] = error.hint[0] = '\0';
    try {
        throw;
    } catch (const ServerError& server_error) {
        error.original = server_error.data();
    } catch (const SqlError& sql_error) {
        error.sqlstate = sql_error.sqlstate();
        copy_text(error.message, sql_error.what());
        copy_text(error.detail, sql_error.detail());
        copy_text(error.hint, sql_error.hint());
    } catch (const std::bad_alloc&) {
        error.sqlstate = ERRCODE_OUT_OF_MEMORY;
        copy_text(error.message, "out of memory");
    } catch (const std::exception& exception) {
        copy_text(error.message, exception.what());
    } catch (...) {
        copy_text(error.message, "unknown C++ exception in pg_seats");
    }
}

void raise(const BorderError& error) {
    if (error.original != nullptr) {
        ReThrowError(error.original);
    }
    ereport(ERROR, (errcode(error.sqlstate), errmsg("%s", error.message),
                    error.detail[0] != '\0' ? errdetail("%s", error.detail) : 0,
                    error.hint[0] != '\0' ? errhint("%s", error.hint) : 0));
    pg_unreachable();
}

ErrorData* detail::take_server_error(MemoryContext context) noexcept {
    ErrorData* volatile data = nullptr;
    sigjmp_buf* const outer_stack = PG_exception_stack;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        MemoryContextSwitchTo(context);
        data = CopyErrorData();
    }
    PG_exception_stack = outer_stack;
    MemoryContextSwitchTo(context);
    FlushErrorState();
    return data;
}

}  // namespace pg_seats::pg
