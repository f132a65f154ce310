// Every request that was received, what was answered, and whether the answer left. Bounded; what
// is still unanswered is always there.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "api/form.hpp"
#include "base/json.hpp"

namespace stripe_simulator {

struct RequestRecord {
    std::uint64_t number = 0;
    std::int64_t at = 0;       // by the settable clock
    std::int64_t wall_ms = 0;  // by the wall clock
    std::int64_t finished_ms = 0;
    std::string method;
    std::string path;
    std::string query;
    std::string key;
    std::string account;
    std::string version;
    std::string request_id;
    std::string body;
    std::string fault;
    // received, hanging (see phase), delayed, later, answered, dropped, gone, refused
    std::string state = "received";
    std::string phase;  // of a hanging one: before or after it was executed
    int status = 0;
    bool executed = false;
    bool replayed = false;
    bool delivered = false;
};

class RequestLog {
  public:
    explicit RequestLog(std::size_t capacity) : capacity_(capacity) {}

    RequestRecord& open(RequestRecord record);
    // Only while it is open.
    RequestRecord* find_open(std::uint64_t number);
    void finish(std::uint64_t number);
    // Filters: state, path, method, key, status, fault, account (globs), after (number), limit.
    [[nodiscard]] Json report(const Params& filters) const;
    void clear_finished() { finished_.clear(); }

  private:
    static bool matches(const RequestRecord& record, const Params& filters);
    static Json render(const RequestRecord& record);

    std::size_t capacity_;
    std::map<std::uint64_t, RequestRecord> open_;
    std::deque<RequestRecord> finished_;
};

std::int64_t wall_milliseconds();

}  // namespace stripe_simulator
