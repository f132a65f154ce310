#include "pg/error.hpp"

namespace pg_seats::pg {
namespace {

// Cut where a character begins: half of one would be an encoding error in place of the message.
void copy_text(char* target, std::size_t size, const char* text) {
    const std::string_view whole(text != nullptr ? text : "");
    std::size_t length = whole.size() < size ? whole.size() : size - 1;
    while (length > 0 && length < whole.size() &&
           (static_cast<unsigned char>(whole[length]) & 0xC0) == 0x80) {
        --length;
    }
    if (length > 0) {
        memcpy(target, whole.data(), length);
    }
    target[length] = '\0';
}

}  // namespace

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
        copy_text(error.message, sizeof error.message, sql_error.what());
        copy_text(error.detail, sizeof error.detail, sql_error.detail().c_str());
        copy_text(error.hint, sizeof error.hint, sql_error.hint().c_str());
    } catch (const std::bad_alloc&) {
        error.sqlstate = ERRCODE_OUT_OF_MEMORY;
        copy_text(error.message, sizeof error.message, "out of memory");
    } catch (const std::exception& exception) {
        copy_text(error.message, sizeof error.message, exception.what());
    } catch (...) {
        copy_text(error.message, sizeof error.message, "unknown C++ exception in pg_seats");
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
