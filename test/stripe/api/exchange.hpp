// One request and what has become of it so far.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/faults.hpp"
#include "api/form.hpp"
#include "base/blob_store.hpp"
#include "http/message.hpp"
#include "http/server.hpp"

namespace stripe_simulator {

struct Account;
struct Operation;

// An answer before faults and HTTP have shaped it.
struct Outcome {
    int status = 200;
    std::string body;
    std::string headers;  // whole lines
    std::string content_type = "application/json";
    bool executed = false;
    bool replayed = false;
    bool is_literal = false;  // goes out byte for byte, as a test has written it
};

struct Exchange {
    // What a held exchange waits to do.
    enum class Phase : std::uint8_t {
        kNew,
        kUnadmitted,  // not even its key has been looked at
        kAdmitted,    // holds its key, not executed
        kExecuted,    // holds its key, executed, the answer waits
    };

    std::uint64_t number = 0;
    ConnectionId connection = 0;
    Request request;
    std::string request_id;
    std::string key;
    std::string version;
    Params params;
    Hash128 fingerprint;
    Account* account = nullptr;
    const Operation* operation = nullptr;
    std::vector<std::string> ids;
    std::shared_ptr<FaultRule> fault;
    Phase phase = Phase::kNew;
    bool by_payer = false;  // with a publishable key
    bool gone = false;      // nobody waits for the answer any more
    bool delayed = false;   // executed later than it was received
    bool keeps_key = true;  // holds its key while it is held
    Outcome outcome;
    BlobRef stored;
    EventLoop::TimerId timer = 0;

    [[nodiscard]] bool uses_key() const { return request.method == "POST" && !key.empty(); }
};

}  // namespace stripe_simulator
