// What was really executed: the oracle of every fault test. A row is written when an operation
// that changes something has run, whether or not anybody was told.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/form.hpp"
#include "base/blob_store.hpp"
#include "base/json.hpp"

namespace stripe_simulator {

// What a handler tells of its own work.
struct LedgerNote {
    using Quantities = std::vector<std::pair<std::string, std::int64_t>>;

    std::string object;
    Quantities before;
    Quantities after;
    std::int64_t amount = 0;
    std::string currency;
    std::string outcome = "done";
};

struct LedgerEntry {
    std::int64_t at = 0;
    std::string_view account;    // owned by the world, which outlives the ledger's rows
    std::string_view operation;  // owned by the router
    std::string_view path;
    std::string_view key;
    std::string_view request_id;
    std::string_view parameters;  // the form as received
    int status = 200;
    bool delayed = false;
};

class Ledger {
  public:
    Ledger(BlobStore& blobs, bool light) : blobs_(blobs), light_(light) {}

    void record(const LedgerEntry& entry, const LedgerNote& note);
    // Filters: key, path, operation, account, object, request_id (globs), status, after
    // (sequence), limit; summary=true leaves the rows out.
    [[nodiscard]] Json report(const Params& filters);
    [[nodiscard]] std::uint64_t size() const { return rows_.size(); }
    void clear();

  private:
    struct Details {
        LedgerNote::Quantities before;
        LedgerNote::Quantities after;
        std::int64_t amount = 0;
        std::string currency;
        std::string outcome;
    };
    struct Row {
        std::int64_t at;
        std::string_view account;
        std::string_view operation;
        std::string texts;  // path, key, request id, object: one allocation, separated by NUL
        std::unique_ptr<Details> details;  // few have more to tell than that they were executed
        BlobRef parameters;
        std::int16_t status;
        bool delayed;

        [[nodiscard]] std::string_view text(std::size_t index) const;
    };

    struct Totals {
        std::size_t matching = 0;
        std::size_t without_key = 0;
        std::unordered_map<std::string_view, std::size_t> keys;  // of texts that rows own
        std::vector<std::string_view> twice;

        void count(const Row& row);
    };

    [[nodiscard]] static bool matches(const Row& row, const Params& filters);
    [[nodiscard]] Json render(const Row& row, std::size_t sequence) const;

    BlobStore& blobs_;
    bool light_;
    std::deque<Row> rows_;
    Totals all_;  // of the rows counted so far
};

}  // namespace stripe_simulator
