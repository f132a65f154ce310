#include "engine/settle.hpp"

#include <algorithm>
#include <iterator>

#include "core/contains.hpp"
#include "engine/store.hpp"

#include "engine/row_errors.hpp"
#include "engine/trouble.hpp"
#include "pg/sql.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

// Both false: the row is gone.
Statement lock_statement{
    "SELECT EXISTS (SELECT FROM seats_internal.outbox AS o WHERE o.id = $1),"
    "       EXISTS (SELECT FROM (SELECT o.id FROM seats_internal.outbox AS o WHERE o.id = $1"
    "                               FOR UPDATE SKIP LOCKED) AS locked)"};

void note_time(Engine& engine, const std::vector<const Settlement*>& items, const Stored& stored) {
    const TimestampTz now = pg::now();
    for (const Settlement* item : items) {
        if (!core::contains(stored.locked, item)) {
            pg::observe(engine.slot.histograms.settle, now - item->flight.answered_at);
        }
    }
}

// `locked`: those of which nothing was stored, because somebody holds their team.
std::optional<pg::Failure> store_in_transaction(Engine& engine,
                                                const std::vector<const Settlement*>& items,
                                                std::vector<const Settlement*>& locked) {
    Stored stored;
    auto failure = engine.transaction([&] { stored = store(engine, items); });
    if (!failure) {
        after_commit(engine, items, stored);
        note_time(engine, items, stored);
        locked = std::move(stored.locked);
    }
    return failure;
}

// A person's verb, say, in a transaction that is open still.
bool somebody_holds(Engine& engine, const Settlement& item) {
    bool held = false;
    const auto failure = engine.transaction([&] {
        const pg::Rows rows = lock_statement.run({pg::bigint(item.flight.call.id)});
        held = rows.boolean(0, 1) && !rows.boolean(0, 2);
    });
    return !failure && held;
}

// One of them raises: each by itself, so that it harms nobody else.
void settle_one_by_one(Engine& engine, std::vector<Settlement>& batch,
                       std::vector<Settlement>& held) {
    std::vector<Settlement> left, waiting;
    std::optional<pg::Failure> last;
    for (Settlement& item : batch) {
        if (waiting.size() >
            1) {  // a lock on a table, it seems, not on a row: do not wait for each
            waiting.push_back(std::move(item));
            continue;
        }
        if (somebody_holds(engine, item)) {
            held.push_back(std::move(item));
            continue;
        }
        std::vector<const Settlement*> locked;
        auto failure = store_in_transaction(engine, {&item}, locked);
        if (!failure) {
            if (!locked.empty()) {
                held.push_back(std::move(item));
            }
            continue;
        }
        if (failure->is_lock_timeout()) {
            waiting.push_back(std::move(item));
            last = std::move(failure);
        } else if (engine.leave || failure->is_about_resources() || failure->is_retriable() ||
                   !charge_row(engine, item, *failure)) {
            left.push_back(std::move(item));
            last = std::move(failure);
        }
    }
    std::ranges::move(waiting, std::back_inserter(waiting.size() > 1 ? left : held));
    batch = std::move(left);
    if (batch.empty()) {
        trouble_is_over(engine);
    } else {
        pause(engine, *last, "cannot settle");
    }
}

}  // namespace

void settle(Engine& engine, std::vector<Settlement>& batch, std::vector<Settlement>& held) {
    if (batch.empty()) {
        return;
    }
    std::vector<const Settlement*> items;
    items.reserve(batch.size());
    for (const Settlement& item : batch) {
        items.push_back(&item);
    }
    std::vector<const Settlement*> locked;
    const auto failure = store_in_transaction(engine, items, locked);
    if (!failure) {
        for (Settlement& item : batch) {
            if (core::contains(locked, &item)) {
                held.push_back(std::move(item));
            }
        }
        batch.clear();
        trouble_is_over(engine);
        return;
    }
    count(engine.slot.counters.settle_failures);
    if (engine.leave || failure->is_about_resources()) {
        pause(engine, *failure, "cannot settle");  // nobody's fault: the answers are kept
        return;
    }
    settle_one_by_one(engine, batch, held);
}

void settle_held(Engine& engine, std::vector<Settlement>& held, std::vector<Settlement>& batch) {
    for (std::size_t i = 0; i < held.size();) {
        // Lanes are locked, or not, when the batch is stored; one of them is queued up for.
        if (wants_lane(held[i])) {
            engine.queue_for_lane = held[i].flight.call.busy_lane();
        } else if (somebody_holds(engine, held[i])) {
            ++i;
            continue;
        }
        batch.push_back(std::move(held[i]));
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

}  // namespace pg_seats::engine
