#include "api/ledger.hpp"

#include <algorithm>
#include <array>

namespace stripe_simulator {

namespace {

enum Text : std::size_t { kPath, kKey, kRequest, kObject };

constexpr std::array<std::string_view, 8> kFilters{"key",       "path",    "request_id", "object",
                                                   "operation", "account", "status",     "outcome"};

Json render_quantities(const LedgerNote::Quantities& quantities) {
    Json out = Json::object();
    for (const auto& [item, quantity] : quantities) {
        out.set(item.c_str(), quantity);
    }
    return out;
}

bool passes(const Params& filters, std::string_view name, std::string_view value) {
    return !filters.has(name) || glob_match(filters.text(name), value);
}

}  // namespace

std::string_view Ledger::Row::text(std::size_t index) const {
    std::string_view rest(texts);
    for (; index > 0; --index) {
        rest.remove_prefix(std::min(rest.find('\0'), rest.size() - 1) + 1);
    }
    return rest.substr(0, rest.find('\0'));
}

void Ledger::record(const LedgerEntry& entry, const LedgerNote& note) {
    Row row{};
    row.at = entry.at;
    row.account = entry.account;
    row.operation = entry.operation;
    row.status = static_cast<std::int16_t>(entry.status);
    row.delayed = entry.delayed;
    // A light row keeps what tells whether a key was executed twice, and nothing else.
    const std::string_view path = light_ ? std::string_view() : entry.path;
    const std::string_view request = light_ ? std::string_view() : entry.request_id;
    row.texts.reserve(path.size() + entry.key.size() + request.size() + note.object.size() + 3);
    row.texts.append(path).push_back('\0');
    row.texts.append(entry.key).push_back('\0');
    row.texts.append(request).push_back('\0');
    row.texts.append(note.object);
    if (note.amount != 0 || !note.after.empty() || note.outcome != "done") {
        row.details = std::make_unique<Details>(
            Details{note.before, note.after, note.amount, note.currency, note.outcome});
    }
    if (!light_) {
        row.parameters = blobs_.put(entry.parameters);
    }
    rows_.push_back(std::move(row));
}

bool Ledger::matches(const Row& row, const Params& filters) {
    return passes(filters, "key", row.text(kKey)) && passes(filters, "path", row.text(kPath)) &&
           passes(filters, "request_id", row.text(kRequest)) &&
           passes(filters, "object", row.text(kObject)) &&
           passes(filters, "operation", row.operation) && passes(filters, "account", row.account) &&
           passes(filters, "status", std::to_string(row.status)) &&
           passes(filters, "outcome", row.details ? row.details->outcome : "done");
}

Json Ledger::render(const Row& row, std::size_t sequence) const {
    Json out = Json::object();
    out.set("sequence", sequence).set("at", row.at).set("account", row.account);
    out.set("operation", row.operation).set_or_null("path", row.text(kPath));
    out.set_or_null("key", row.text(kKey)).set_or_null("request_id", row.text(kRequest));
    out.set_or_null("object", row.text(kObject)).set("status", row.status);
    out.set("outcome", row.details ? std::string_view(row.details->outcome) : "done");
    out.set("delayed", row.delayed);
    Json quantities = Json::object();
    Json money = Json::object();
    const Details nothing;
    const Details& details = row.details ? *row.details : nothing;
    quantities.set("before", render_quantities(details.before));
    quantities.set("after", render_quantities(details.after));
    money.set("amount", details.amount).set_or_null("currency", details.currency);
    out.set("quantities", quantities).set("money", money);
    Json parameters = Json::object();
    const Params form = Params::decode(blobs_.get(row.parameters));
    for (const auto& [name, value] : form.fields()) {
        parameters.set(name.c_str(), value);
    }
    out.set("parameters", parameters);
    return out;
}

void Ledger::Totals::count(const Row& row) {
    ++matching;
    const std::string_view key = row.text(kKey);
    if (key.empty()) {
        ++without_key;
    } else if (++keys[key] == 2) {
        twice.push_back(key);
    }
}

void Ledger::clear() {
    all_ = Totals();
    rows_.clear();
}

Json Ledger::report(const Params& filters) {
    const bool summary = filters.flag("summary");
    const auto limit = static_cast<std::size_t>(filters.integer("limit").value_or(10000));
    const auto after = static_cast<std::size_t>(filters.integer("after").value_or(0));
    const bool filtered = std::any_of(kFilters.begin(), kFilters.end(),
                                      [&](std::string_view name) { return filters.has(name); });
    Totals some;
    Json executed = Json::array();
    std::size_t shown = 0;
    // What concerns all rows is counted once per row, however often a test asks.
    while (!filtered && all_.matching < rows_.size()) {
        all_.count(rows_[all_.matching]);
    }
    for (std::size_t i = filtered ? 0 : after; i < rows_.size(); ++i) {
        const bool showing = !summary && shown < limit;
        if (!filtered && !showing) {
            break;
        }
        if (filtered && !matches(rows_[i], filters)) {
            continue;
        }
        if (filtered) {
            some.count(rows_[i]);
        }
        if (showing && i >= after) {
            executed.push(render(rows_[i], i + 1));
            ++shown;
        }
    }
    const Totals& totals = filtered ? some : all_;
    Json twice = Json::array();
    for (std::size_t i = 0; i < totals.twice.size() && i < 1000; ++i) {
        twice.push(totals.twice[i]);
    }
    Json report = Json::object();
    report.set("total", rows_.size()).set("matching", totals.matching);
    report.set("distinct_keys", totals.keys.size()).set("without_key", totals.without_key);
    report.set("executed_twice_count", totals.twice.size()).set("executed_twice", twice);
    if (!summary) {
        report.set("executed", executed);
        report.set("has_more", totals.matching > shown && shown == limit);
    }
    return report;
}

}  // namespace stripe_simulator
