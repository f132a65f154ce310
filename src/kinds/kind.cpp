#include "kinds/kind.hpp"

#include <algorithm>

#include "core/contains.hpp"
#include "pg/sql.hpp"

namespace pg_seats::kinds {
namespace {

template <class Has>
pg::Value names_of(Has has) {
    std::vector<std::string_view> names;
    for (const Kind* kind : all) {
        if (has(*kind)) {
            names.push_back(kind->name);
        }
    }
    return pg::texts(names);
}

}  // namespace

const Kind& find(std::string_view name) {
    const auto found = std::ranges::find(all, name, &Kind::name);
    return found == all.end() ? call_kind : **found;
}

bool Storing::is_left(const Settlement& item) const {
    return core::contains(left, item.flight.call.id);
}

bool Plans::is_not_sent(std::int64_t id) const {
    using core::contains;
    return contains(settled_or_waits, id) || contains(locked, id) || contains(later, id) ||
           contains(to_read, id);
}

pg::Value never_in_doubt() {
    return names_of([](const Kind& kind) { return !kind.rules.can_be_in_doubt; });
}

pg::Value never_suspect() {
    return names_of([](const Kind& kind) { return !kind.may_be_suspect; });
}

pg::Value planned() {
    return names_of([](const Kind& kind) { return kind.plan != nullptr; });
}

pg::Value may_be_held() {
    return names_of([](const Kind& kind) { return kind.hold != nullptr; });
}

}  // namespace pg_seats::kinds
