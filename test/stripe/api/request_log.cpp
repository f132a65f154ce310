#include "api/request_log.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace stripe_simulator {

std::int64_t wall_milliseconds() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

RequestRecord& RequestLog::open(RequestRecord record) {
    const std::uint64_t number = record.number;
    return open_.insert_or_assign(open_.end(), number, std::move(record))->second;
}

RequestRecord* RequestLog::find_open(std::uint64_t number) {
    const auto found = open_.find(number);
    return found == open_.end() ? nullptr : &found->second;
}

void RequestLog::finish(std::uint64_t number) {
    auto node = open_.extract(number);
    if (node.empty()) {
        return;
    }
    node.mapped().finished_ms = wall_milliseconds();
    if (finished_.size() >= capacity_) {
        finished_.pop_front();
    }
    if (capacity_ > 0) {
        finished_.push_back(std::move(node.mapped()));
    }
}

bool RequestLog::matches(const RequestRecord& record, const Params& filters) {
    const auto passes = [&](std::string_view name, std::string_view value) {
        return !filters.has(name) || glob_match(filters.text(name), value);
    };
    return passes("state", record.state) && passes("path", record.path) &&
           passes("method", record.method) && passes("key", record.key) &&
           passes("fault", record.fault) && passes("account", record.account) &&
           passes("phase", record.phase) && passes("request_id", record.request_id) &&
           passes("status", std::to_string(record.status)) &&
           static_cast<std::int64_t>(record.number) > filters.integer("after").value_or(0);
}

Json RequestLog::render(const RequestRecord& record) {
    Json out = Json::object();
    out.set("number", record.number).set("at", record.at).set("received_ms", record.wall_ms);
    if (record.finished_ms != 0) {
        out.set("finished_ms", record.finished_ms);
    } else {
        out.set("finished_ms", nullptr);
    }
    out.set("method", record.method).set("path", record.path);
    out.set_or_null("query", record.query).set_or_null("key", record.key);
    out.set_or_null("account", record.account).set_or_null("version", record.version);
    out.set_or_null("request_id", record.request_id).set("body", record.body);
    out.set_or_null("fault", record.fault).set("state", record.state);
    out.set_or_null("phase", record.phase).set("status", record.status);
    out.set("executed", record.executed).set("replayed", record.replayed);
    out.set("delivered", record.delivered);
    return out;
}

Json RequestLog::report(const Params& filters) const {
    const auto limit = static_cast<std::size_t>(filters.integer("limit").value_or(1000));
    // By number, the newest `limit` of those that match.
    std::vector<const RequestRecord*> found;
    for (const RequestRecord& record : finished_) {
        if (matches(record, filters)) {
            found.push_back(&record);
        }
    }
    for (const auto& [number, record] : open_) {
        if (matches(record, filters)) {
            found.push_back(&record);
        }
    }
    std::sort(found.begin(), found.end(),
              [](const auto* left, const auto* right) { return left->number < right->number; });
    const std::size_t matching = found.size();
    if (found.size() > limit) {
        found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(limit));
    }
    Json requests = Json::array();
    for (const RequestRecord* record : found) {
        requests.push(render(*record));
    }
    return Json::object()
        .set("matching", matching)
        .set("open", open_.size())
        .set("requests", requests);
}

}  // namespace stripe_simulator
