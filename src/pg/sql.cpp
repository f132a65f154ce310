#include "pg/sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"
}

namespace pg_seats::pg {
namespace {

// Below: static functions that may raise and hold no C++ objects; each is called through guard().

struct Bytes {
    const char* data;
    std::size_t size;
};

Datum make_varlena(const char* data, std::size_t size) {
    auto* result = static_cast<::bytea*>(palloc(VARHDRSZ + size));
    SET_VARSIZE(result, VARHDRSZ + size);
    if (size > 0) {
        memcpy(VARDATA(result), data, size);
    }
    return PointerGetDatum(result);
}

struct ArrayInput {
    const Datum* datums;
    const bool* nulls;
    int size;
    Oid element;
    int length;
    bool by_value;
    char alignment;
};

Datum make_array(const ArrayInput* input) {
    if (input->size == 0) {
        return PointerGetDatum(construct_empty_array(input->element));
    }
    int dimensions[1] = {input->size};
    int lower_bounds[1] = {1};
    return PointerGetDatum(construct_md_array(
        const_cast<Datum*>(input->datums), const_cast<bool*>(input->nulls), 1, dimensions,
        lower_bounds, input->element, input->length, input->by_value, input->alignment));
}

struct TypeOfArray {
    Oid array;
    std::int16_t length;
    bool by_value;
    char alignment;
};

TypeOfArray array_type_of(Oid element) {
    TypeOfArray type{get_array_type(element), 0, false, 0};
    get_typlenbyvalalign(element, &type.length, &type.by_value, &type.alignment);
    return type;
}

Value array_of(Oid array_type, Oid element, int length, char alignment,
               const std::vector<Datum>& datums, const std::vector<char>& nulls) {
    static_assert(sizeof(bool) == sizeof(char));
    const ArrayInput input{datums.data(),
                           reinterpret_cast<const bool*>(nulls.data()),
                           static_cast<int>(datums.size()),
                           element,
                           length,
                           length > 0,
                           alignment};
    return {array_type, guard(make_array, &input), false};
}

// As construct_md_array makes it, but from bytes as they lie: that wants a copy of each element,
// with a length before it, and answers are long and come by the hundred.
struct VarlenaArray {
    const std::string_view* values;  // empty: null
    std::size_t size;
    Oid element;
};

Datum make_varlena_array(const VarlenaArray* input) {
    if (input->size == 0) {
        return PointerGetDatum(construct_empty_array(input->element));
    }
    std::size_t bytes = 0;
    bool has_null = false;
    for (std::size_t i = 0; i < input->size; ++i) {
        const std::string_view& value = input->values[i];
        has_null = has_null || value.empty();
        bytes += value.empty() ? 0 : INTALIGN(VARHDRSZ + value.size());
    }
    const int size = static_cast<int>(input->size);
    const std::size_t head = has_null ? ARR_OVERHEAD_WITHNULLS(1, size) : ARR_OVERHEAD_NONULLS(1);
    auto* const array = static_cast<ArrayType*>(palloc(head + bytes));
    memset(array, 0, head);
    SET_VARSIZE(array, head + bytes);
    array->ndim = 1;
    array->dataoffset = has_null ? static_cast<int32>(head) : 0;
    array->elemtype = input->element;
    ARR_DIMS(array)[0] = size;
    ARR_LBOUND(array)[0] = 1;
    bits8* const present = ARR_NULLBITMAP(array);
    char* at = ARR_DATA_PTR(array);
    for (std::size_t i = 0; i < input->size; ++i) {
        const std::string_view& value = input->values[i];
        if (value.empty()) {
            continue;
        }
        const std::size_t length = VARHDRSZ + value.size();
        SET_VARSIZE(at, length);
        memcpy(VARDATA(at), value.data(), value.size());
        memset(at + length, 0, INTALIGN(length) - length);
        at += INTALIGN(length);
        if (present != nullptr) {
            present[i / 8] = static_cast<bits8>(present[i / 8] | 1U << (i % 8));
        }
    }
    return PointerGetDatum(array);
}

// A label of an enum. Its Oid names it for as long as the extension is there, and a worker lives no
// longer. (In the server's memory, and linked by hand, because nothing global has a destructor.)
struct Label {
    Oid id;
    const char* text;
    const Label* next;
};

const Label* make_label(Oid id, const Label* next) {
    MemoryContext const before = MemoryContextSwitchTo(TopMemoryContext);
    auto* const label = static_cast<Label*>(palloc(sizeof(Label)));
    *label = {id, DatumGetCString(DirectFunctionCall1(enum_out, ObjectIdGetDatum(id))), next};
    MemoryContextSwitchTo(before);
    return label;
}

Bytes detoasted(Datum datum) {
    const auto* value = reinterpret_cast<const varlena*>(PG_DETOAST_DATUM_PACKED(datum));
    return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

struct Execution {
    const char* sql;
    SPIPlanPtr* plan;
    const Oid* types;
    const Datum* datums;
    const char* nulls;
    int parameters;
    bool read_only;
    long limit;
    Rows::Cells* cells;  // for its rows
};

void execute(Execution* execution) {
    if (*execution->plan == nullptr) {
        SPIPlanPtr plan =
            SPI_prepare(execution->sql, execution->parameters, const_cast<Oid*>(execution->types));
        if (plan == nullptr || SPI_keepplan(plan) != 0) {
            elog(ERROR, "could not prepare a statement of pg_seats: %s",
                 SPI_result_code_string(SPI_result));
        }
        *execution->plan = plan;
    }
    const int code = SPI_execute_plan(*execution->plan, const_cast<Datum*>(execution->datums),
                                      execution->nulls, execution->read_only, execution->limit);
    if (code < 0) {
        elog(ERROR, "could not run a statement of pg_seats: %s", SPI_result_code_string(code));
    }
    if (SPI_tuptable != nullptr && SPI_tuptable->numvals > 0) {
        const auto columns = static_cast<std::size_t>(SPI_tuptable->tupdesc->natts);
        auto* const cells = static_cast<Rows::Cells*>(
            MemoryContextAlloc(SPI_tuptable->tuptabcxt,
                               sizeof(Rows::Cells) + columns * (sizeof(Datum) + sizeof(bool))));
        cells->row = PG_UINT64_MAX;
        cells->values = reinterpret_cast<Datum*>(cells + 1);
        cells->nulls = reinterpret_cast<bool*>(cells->values + columns);
        execution->cells = cells;
    }
}

constexpr int max_parameters = 32;

}  // namespace

Value null_of(Oid type) {
    return {type, Datum{0}, true};
}
Value bigint(std::int64_t value) {
    return {INT8OID, Int64GetDatum(value), false};
}
Value integer(std::int32_t value) {
    return {INT4OID, Int32GetDatum(value), false};
}
Value boolean(bool value) {
    return {BOOLOID, BoolGetDatum(value), false};
}
Value timestamp(TimestampTz value) {
    return {TIMESTAMPTZOID, TimestampTzGetDatum(value), value == 0};
}
Value text(std::string_view value) {
    return {TEXTOID, guard(make_varlena, value.data(), value.size()), false};
}
Value text_or_null(std::string_view value) {
    return value.empty() ? null_of(TEXTOID) : text(value);
}
Value bytea(std::string_view value) {
    return {BYTEAOID, guard(make_varlena, value.data(), value.size()), false};
}

Value bigints(const std::vector<std::int64_t>& values) {
    std::vector<Datum> datums;
    datums.reserve(values.size());
    for (const std::int64_t value : values) {
        datums.push_back(Int64GetDatum(value));
    }
    return array_of(INT8ARRAYOID, INT8OID, 8, TYPALIGN_DOUBLE, datums,
                    std::vector<char>(values.size()));
}

Value integers(const std::vector<std::int32_t>& values) {
    std::vector<Datum> datums;
    datums.reserve(values.size());
    for (const std::int32_t value : values) {
        datums.push_back(Int32GetDatum(value));
    }
    return array_of(INT4ARRAYOID, INT4OID, 4, TYPALIGN_INT, datums,
                    std::vector<char>(values.size()));
}

Value booleans(const std::vector<bool>& values) {
    std::vector<Datum> datums;
    datums.reserve(values.size());
    for (const bool value : values) {
        datums.push_back(BoolGetDatum(value));
    }
    return array_of(BOOLARRAYOID, BOOLOID, 1, TYPALIGN_CHAR, datums,
                    std::vector<char>(values.size()));
}

Value timestamps(const std::vector<TimestampTz>& values) {
    std::vector<Datum> datums;
    std::vector<char> nulls;
    datums.reserve(values.size());
    nulls.reserve(values.size());
    for (const TimestampTz value : values) {
        datums.push_back(TimestampTzGetDatum(value));
        nulls.push_back(static_cast<char>(value == 0));
    }
    return array_of(TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, 8, TYPALIGN_DOUBLE, datums, nulls);
}

namespace {

Value varlenas(Oid array_type, Oid element, const std::vector<std::string_view>& values) {
    const VarlenaArray input{values.data(), values.size(), element};
    return {array_type, guard(make_varlena_array, &input), false};
}

}  // namespace

Value texts(const std::vector<std::string_view>& values) {
    return varlenas(TEXTARRAYOID, TEXTOID, values);
}

Value byteas(const std::vector<std::string_view>& values) {
    return varlenas(BYTEAARRAYOID, BYTEAOID, values);
}

Datum Rows::cell(std::size_t row, int column, bool& is_null) const {
    // Does not raise: the column exists (our own statements), and nothing is detoasted here. All
    // columns of a row at once: to find the last one alone, all before it are walked over as well.
    if (cells_->row != row) {
        heap_deform_tuple(table_->vals[row], table_->tupdesc, cells_->values, cells_->nulls);
        cells_->row = row;
    }
    is_null = cells_->nulls[column - 1];
    return cells_->values[column - 1];
}

bool Rows::is_null(std::size_t row, int column) const {
    bool null = false;
    static_cast<void>(cell(row, column, null));
    return null;
}

std::int64_t Rows::bigint(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return null ? 0 : DatumGetInt64(datum);
}

std::int32_t Rows::integer(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return null ? 0 : DatumGetInt32(datum);
}

std::int16_t Rows::smallint(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return null ? std::int16_t{0} : DatumGetInt16(datum);
}

bool Rows::boolean(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return !null && DatumGetBool(datum);
}

double Rows::number(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return null ? 0 : DatumGetFloat8(datum);
}

TimestampTz Rows::timestamp(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return null ? 0 : DatumGetTimestampTz(datum);
}

Value Rows::value(std::size_t row, int column, Oid type) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    return {type, datum, null};
}

Value Rows::values(int column, Oid element) const {
    std::vector<Datum> datums;
    std::vector<char> nulls;
    datums.reserve(size());
    nulls.reserve(size());
    for (std::size_t row = 0; row < size(); ++row) {
        bool null = false;
        datums.push_back(cell(row, column, null));
        nulls.push_back(static_cast<char>(null));
    }
    const TypeOfArray type = guard(array_type_of, element);
    const ArrayInput input{datums.data(),
                           reinterpret_cast<const bool*>(nulls.data()),
                           static_cast<int>(datums.size()),
                           element,
                           type.length,
                           type.by_value,
                           type.alignment};
    return {type.array, guard(make_array, &input), false};
}

std::string_view Rows::bytes(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    if (null) {
        return {};
    }
    const auto* const value = reinterpret_cast<const varlena*>(DatumGetPointer(datum));
    if (!VARATT_IS_COMPRESSED(value) && !VARATT_IS_EXTERNAL(value)) {
        return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
    }
    const Bytes bytes = guard(detoasted, datum);
    return {bytes.data, bytes.size};
}

std::string Rows::uuid(std::size_t row, int column) const {
    bool null = false;
    const Datum datum = cell(row, column, null);
    std::string text;
    if (null) {
        return text;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    const pg_uuid_t* const uuid = DatumGetUUIDP(datum);
    text.reserve(36);
    for (std::size_t i = 0; i < UUID_LEN; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text.push_back('-');
        }
        text.push_back(digits[uuid->data[i] >> 4U]);
        text.push_back(digits[uuid->data[i] & 15U]);
    }
    return text;
}

std::string_view Rows::label(std::size_t row, int column) const {
    static const Label* known = nullptr;
    bool null = false;
    const Oid id = DatumGetObjectId(cell(row, column, null));
    if (null) {
        return {};
    }
    const Label* label = known;
    while (label != nullptr && label->id != id) {
        label = label->next;
    }
    if (label == nullptr) {
        known = label = guard(make_label, id, known);
    }
    return label->text;
}

Statement* Statement::first_ = nullptr;

Rows Statement::run(std::span<const Value> values, Sees sees, long limit) {
    if (values.size() > max_parameters) {
        throw SqlError(ERRCODE_INTERNAL_ERROR, "too many parameters for a statement");
    }
    Oid types[max_parameters];
    Datum datums[max_parameters];
    char nulls[max_parameters];
    int count = 0;
    for (const Value& value : values) {
        types[count] = value.type;
        datums[count] = value.datum;
        nulls[count] = value.is_null ? 'n' : ' ';
        ++count;
    }
    Execution execution{
        sql_,  &plan_, types, datums, nulls, count, sees == Sees::transaction_snapshot,
        limit, nullptr};
    guard(execute, &execution);
    const std::uint64_t found = SPI_tuptable != nullptr ? SPI_tuptable->numvals : 0;
    return {SPI_tuptable, execution.cells, found, SPI_processed};
}

}  // namespace pg_seats::pg
