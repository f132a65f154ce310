// Columns said once: what SQL calls them, and what they are in C++. A constexpr list of them gives
// both the text of a statement and the values that it takes or gives.
//
//   constexpr std::tuple columns{
//       pg::column<pg::Bigint>("id", [](const Row* row) { return row->id; }), …};
//   constexpr pg::Sql text = pg::Sql{"INSERT … SELECT … FROM "} + pg::unnest(columns);
//   statement.run(pg::arrays(columns, rows));
#pragma once

#include <array>
#include <functional>
#include <ranges>
#include <tuple>

#include "pg/sql.hpp"

namespace pg_seats::pg {

// A statement's text, put together when it is compiled.
class Sql {
  public:
    constexpr Sql() = default;
    constexpr explicit Sql(std::string_view sql) { *this += sql; }
    constexpr Sql& operator+=(std::string_view more) {
        for (const char character : more) {
            text_.at(size_++) = character;
        }
        static_cast<void>(text_.at(size_));  // there is room for the end
        return *this;
    }
    constexpr Sql& operator+=(std::size_t number) {
        if (number >= 10) {
            *this += number / 10;
        }
        const char digit = static_cast<char>('0' + number % 10);
        return *this += std::string_view(&digit, 1);
    }
    friend constexpr Sql operator+(Sql before, std::string_view more) { return before += more; }
    friend constexpr Sql operator+(Sql before, const Sql& more) {
        return before += std::string_view(more.text());
    }
    [[nodiscard]] constexpr const char* text() const { return text_.data(); }

  private:
    std::array<char, 4'096> text_{};
    std::size_t size_ = 0;
};

// Types of columns.
struct Bigint {
    static constexpr std::string_view name = "bigint";
    using Element = std::int64_t;
    static Value array(const std::vector<Element>& values) { return bigints(values); }
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.bigint(row, column);
    }
};
struct Integer {
    static constexpr std::string_view name = "integer";
    using Element = std::int32_t;
    static Value array(const std::vector<Element>& values) { return integers(values); }
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.integer(row, column);
    }
};
struct Boolean {
    static constexpr std::string_view name = "boolean";
    using Element = bool;
    static Value array(const std::vector<Element>& values) { return booleans(values); }
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.boolean(row, column);
    }
};
struct Timestamptz {  // 0 = null
    static constexpr std::string_view name = "timestamptz";
    using Element = TimestampTz;
    static Value array(const std::vector<Element>& values) { return timestamps(values); }
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.timestamp(row, column);
    }
};
struct Text {  // empty = null
    static constexpr std::string_view name = "text";
    using Element = std::string_view;
    static Value array(const std::vector<Element>& values) { return texts(values); }
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.bytes(row, column);
    }
};
struct Bytea {
    static constexpr std::string_view name = "bytea";
    using Element = std::string_view;
    static Value array(const std::vector<Element>& values) { return byteas(values); }
};
// These are only read.
struct Uuid {
    using Element = std::string;
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.uuid(row, column);
    }
};
struct Smallint {
    using Element = std::int16_t;
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.smallint(row, column);
    }
};
struct OptionalSmallint {
    using Element = std::optional<std::int16_t>;
    static Element read(const Rows& rows, std::size_t row, int column) {
        return rows.is_null(row, column) ? Element{} : Element{rows.smallint(row, column)};
    }
};

// `access` gives the value of an item, or is the member that takes it.
template <class Type, class Access>
struct Column {
    std::string_view sql;
    Access access;
};

template <class Type, class Access>
constexpr Column<Type, Access> column(std::string_view sql, Access access) {
    return {sql, access};
}

// "unnest($1::bigint[], …) AS a (id, …)"
template <class... Types, class... Accesses>
constexpr Sql unnest(const std::tuple<Column<Types, Accesses>...>& columns) {
    Sql parameters;
    Sql names;
    std::size_t number = 0;
    const auto add = [&](std::string_view type, std::string_view name) {
        const std::string_view separator = number == 0 ? "" : ", ";
        ((parameters += separator) += "$") += ++number;
        ((parameters += "::") += type) += "[]";
        (names += separator) += name;
    };
    std::apply([&](const auto&... column) { (add(Types::name, column.sql), ...); }, columns);
    return Sql{"unnest("} + parameters + ") AS a (" + names + ")";
}

// The parameters of that, of all the items.
template <std::ranges::range Items, class... Types, class... Accesses>
std::array<Value, sizeof...(Types)> arrays(const std::tuple<Column<Types, Accesses>...>& columns,
                                           const Items& items) {
    const auto array = [&items]<class Type, class Access>(const Column<Type, Access>& column) {
        std::vector<typename Type::Element> values;
        values.reserve(std::ranges::size(items));
        for (const auto& item : items) {
            values.push_back(column.access(item));
        }
        return Type::array(values);
    };
    return std::apply([&](const auto&... column) { return std::array{array(column)...}; }, columns);
}

// "o.id, …"
template <class... Types, class... Accesses>
constexpr Sql expressions(const std::tuple<Column<Types, Accesses>...>& columns) {
    Sql list;
    std::string_view separator;
    const auto add = [&](std::string_view sql) {
        (list += separator) += sql;
        separator = ", ";
    };
    std::apply([&](const auto&... column) { (add(column.sql), ...); }, columns);
    return list;
}

// A row of that.
template <class Item, class... Types, class... Accesses>
void read(const std::tuple<Column<Types, Accesses>...>& columns, const Rows& rows, std::size_t row,
          Item& item) {
    int number = 0;
    std::apply(
        [&](const auto&... column) {
            ((item.*column.access = Types::read(rows, row, ++number)), ...);
        },
        columns);
}

}  // namespace pg_seats::pg
