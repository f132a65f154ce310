// SQL from C++: prepared once per process, parameters and results as plain C++ values.
//
// To be used inside a transaction with SPI connected (pg/transaction.hpp). What the server raises
// comes as ServerError.
#pragma once

#include <span>

#include "pg/error.hpp"

namespace pg_seats::pg {

// A parameter's value. Made by the functions below, which allocate in the current memory context;
// it lives until the end of the transaction or SPI session.
struct Value {
    Oid type;
    Datum datum;
    bool is_null;
};

Value null_of(Oid type);
Value bigint(std::int64_t value);
Value integer(std::int32_t value);
Value boolean(bool value);
Value text(std::string_view value);
Value text_or_null(std::string_view value);  // empty = null
Value bytea(std::string_view value);
Value timestamp(TimestampTz value);

Value bigints(const std::vector<std::int64_t>& values);
Value integers(const std::vector<std::int32_t>& values);
Value booleans(const std::vector<bool>& values);
Value timestamps(const std::vector<TimestampTz>& values);  // 0 = null
// Elements that are empty become null: nowhere in our tables does an empty text mean something.
Value texts(const std::vector<std::string_view>& values);
Value byteas(const std::vector<std::string_view>& values);

// A statement's rows. The cells are read on demand and live until SPI is finished.
class Rows {
  public:
    // All columns of the row that was read last.
    struct Cells {
        std::uint64_t row;
        Datum* values;
        bool* nulls;
    };

    Rows(SPITupleTable* table, Cells* cells, std::uint64_t count, std::uint64_t processed)
        : table_(table), cells_(cells), count_(count), processed_(processed) {}
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::uint64_t processed() const noexcept { return processed_; }

    // Columns count from 1, as in the server.
    [[nodiscard]] bool is_null(std::size_t row, int column) const;
    [[nodiscard]] std::int64_t bigint(std::size_t row, int column) const;
    [[nodiscard]] std::int32_t integer(std::size_t row, int column) const;
    [[nodiscard]] std::int16_t smallint(std::size_t row, int column) const;
    [[nodiscard]] bool boolean(std::size_t row, int column) const;
    [[nodiscard]] double number(std::size_t row, int column) const;
    [[nodiscard]] TimestampTz timestamp(std::size_t row, int column) const;  // 0 = null
    // As it is, for another statement of the same transaction.
    [[nodiscard]] Value value(std::size_t row, int column, Oid type) const;
    // The same of a whole column: an array, with an element for each row.
    [[nodiscard]] Value values(int column, Oid element) const;
    // text, varchar, bytea: the bytes. Null is the empty view.
    [[nodiscard]] std::string_view bytes(std::size_t row, int column) const;
    // uuid: as it is written. Null is empty.
    [[nodiscard]] std::string uuid(std::size_t row, int column) const;
    // An enum's label; for the worker only. Null is empty.
    [[nodiscard]] std::string_view label(std::size_t row, int column) const;
    [[nodiscard]] std::string string(std::size_t row, int column) const {
        return std::string(bytes(row, column));
    }

  private:
    [[nodiscard]] Datum cell(std::size_t row, int column, bool& is_null) const;
    SPITupleTable* table_;
    Cells* cells_;
    std::uint64_t count_;
    std::uint64_t processed_;
};

// A statement with its plan, which is made at the first use and kept for the life of the process.
// Meant to be `static`: it has no destructor, and the server frees plans with the process.
class Statement {
  public:
    // (Not std::source_location, which clang-tidy 14 does not find in GCC's library.)
    explicit Statement(const char* sql, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) noexcept
        : sql_(sql), file_(file), line_(line), next_(first_) {
        first_ = this;
    }

    // `snapshot`: the transaction's own one (all statements of a claim see the same rows), or a
    // fresh one for each statement (READ COMMITTED as one knows it).
    enum class Sees : std::uint8_t { fresh, transaction_snapshot };

    Rows run(std::span<const Value> values, Sees sees = Sees::fresh, long limit = 0);
    Rows run(std::initializer_list<Value> values = {}, Sees sees = Sees::fresh, long limit = 0) {
        return run(std::span(values.begin(), values.size()), sees, limit);
    }

    // All of the library's, one after the other: each makes itself known when the library is loaded
    // (so none may be local to a function).
    [[nodiscard]] static const Statement* first() { return first_; }
    [[nodiscard]] const Statement* next() const { return next_; }
    [[nodiscard]] const char* sql() const { return sql_; }
    [[nodiscard]] const char* file() const { return file_; }
    [[nodiscard]] int line() const { return line_; }

  private:
    static Statement* first_;
    const char* sql_;
    const char* file_;
    int line_;
    Statement* next_;
    SPIPlanPtr plan_ = nullptr;
};

}  // namespace pg_seats::pg
