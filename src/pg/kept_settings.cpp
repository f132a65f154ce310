// The server's regime: no C++ objects with destructors in this file.
#include "pg/kept_settings.hpp"

extern "C" {
#include "utils/guc.h"
#include "utils/jsonb.h"
}

namespace pg_seats::pg {
namespace {

const char* text_of(const JsonbValue& value) {
    if (value.type != jbvString) {
        elog(ERROR, "a kept setting is no text");
    }
    return pnstrdup(value.val.string.val, value.val.string.len);
}

}  // namespace

void set_kept_settings(Datum json, Oid role) {
    JsonbIterator* position = JsonbIteratorInit(&DatumGetJsonbP(json)->root);
    JsonbValue value;
    const char* name = nullptr;
    for (JsonbIteratorToken token = WJB_KEY; token != WJB_DONE;) {
        token = JsonbIteratorNext(&position, &value, true);
        if (token == WJB_KEY) {
            name = text_of(value);
        } else if (token == WJB_VALUE) {
            (void)set_config_option_ext(name, text_of(value), PGC_USERSET, PGC_S_SESSION, role,
                                        GUC_ACTION_LOCAL, true, 0, false);
        }
    }
}

}  // namespace pg_seats::pg
