#include "api/ledger.hpp"

#include <algorithm>
#include <unordered_map>

namespace stripe_simulator {

namespace {

enum Text : std::size_t { kPath, kKey, kRequest, kObject };

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

Json Ledger::report(const Params& filters) const {
    const bool summary = filters.flag("summary");
    const auto limit = static_cast<std::size_t>(filters.integer("limit").value_or(10000));
    const auto after = static_cast<std::size_t>(filters.integer("after").value_or(0));
    Json executed = Json::array();
    std::unordered_map<std::string_view, std::size_t> keys;
    std::size_t matching = 0;
    std::size_t shown = 0;
    std::size_t without_key = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (!matches(rows_[i], filters)) {
            continue;
        }
        ++matching;
        if (rows_[i].text(kKey).empty()) {
            ++without_key;
        } else {
            ++keys[rows_[i].text(kKey)];
        }
        if (!summary && i + 1 > after && shown < limit) {
            executed.push(render(rows_[i], i + 1));
            ++shown;
        }
    }
    Json twice = Json::array();
    std::size_t twice_count = 0;
    for (const auto& [key, count] : keys) {
        if (count > 1 && ++twice_count <= 1000) {
            twice.push(key);
        }
    }
    Json report = Json::object();
    report.set("total", rows_.size()).set("matching", matching);
    report.set("distinct_keys", keys.size()).set("without_key", without_key);
    report.set("executed_twice_count", twice_count).set("executed_twice", twice);
    if (!summary) {
        report.set("executed", executed).set("has_more", matching > shown && shown == limit);
    }
    return report;
}

}  // namespace stripe_simulator
