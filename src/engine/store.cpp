#include "engine/store.hpp"

#include <algorithm>

#include "core/answer.hpp"
#include "engine/ready.hpp"
#include "engine/trace.hpp"

#include "engine/find.hpp"
#include "pg/debug_point.hpp"
#include "pg/log.hpp"
#include "pg/sql.hpp"

namespace pg_seats::engine {
namespace {

using pg::Statement;

Statement take_lanes_statement{"SELECT unnest(seats_internal.take_lanes($1, $2))"};

// `o.id = ANY ($1)` beside the join: without it a plan that was made while the table was empty
// reads the whole index (measured: ten times slower after the first vacuum).
//
// Compare and set: whatever was changed behind our back (by an operator's verb, say) is left alone.
Statement finish_statement{
    "WITH answer AS MATERIALIZED ("
    "  SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[],"
    "      $5::integer[], $6::integer[], $7::text[], $8::text[], $9::text[], $10::bytea[], "
    "$11::boolean[], $12::text[], $13::text[])"
    "    AS a (id, generation, state, result, http_status, duration_us, reason, error, request_id,"
    "          answer, clean, error_code, decline_code)),"
    " gone AS ("
    "  DELETE FROM seats_internal.outbox AS o USING answer AS a"
    "   WHERE o.id = a.id AND o.id = ANY ($1) AND o.generation = a.generation AND o.state::text = "
    "a.state"
    "  RETURNING o.id, o.lane_id, o.created_at, o.first_sent_at, o.uuid, o.installation,"
    "      a.result, o.generation, o.attempts, a.http_status, a.duration_us, a.clean, "
    "o.destination,"
    "      o.method, o.path, o.body, o.enqueued_by, a.reason, a.error, a.error_code, "
    "a.decline_code,"
    "      a.request_id, o.context,"
    "      a.answer, o.kind, o.team_id, o.actor, o.lines, o.base, o.target)"
    "INSERT INTO seats_internal.outbox_history (ring, id, lane_id, created_at, first_sent_at,"
    "    settled_at, uuid, installation, result, generation, attempts, http_status, duration_ms,"
    "    clean, destination, method, path, body, enqueued_by, reason, error, error_code,"
    "    decline_code, request_id, context, answer, kind, team_id, actor, lines, base, target) "
    "SELECT ring.slot, g.id, g.lane_id, g.created_at, g.first_sent_at,"
    "    pg_catalog.clock_timestamp(), g.uuid, g.installation, g.result, g.generation, g.attempts,"
    "    nullif(g.http_status, 0), g.duration_us / 1000.0, g.clean, g.destination, g.method, "
    "g.path, g.body,"
    "    g.enqueued_by, g.reason, g.error, g.error_code, g.decline_code, g.request_id, g.context,"
    "    g.answer, g.kind, g.team_id,"
    "    g.actor, g.lines, g.base, g.target"
    "  FROM gone AS g CROSS JOIN seats_internal.ring RETURNING id"};

Statement change_statement{
    "WITH answer AS MATERIALIZED ("
    "  SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[],"
    "      $5::timestamptz[], $6::boolean[], $7::boolean[], $8::integer[], $9::integer[],"
    "      $10::integer[], $11::integer[], $12::timestamptz[], $13::text[], $14::text[], "
    "$15::text[], $16::text[], $17::text[])"
    "    AS a (id, generation, state, next_state, due_at, doubt, forget_first_sent, tries, "
    "attempts,"
    "          next_generation, verifications, key_final_at, reason, error, request_id, error_code,"
    "          decline_code))"
    "UPDATE seats_internal.outbox AS o"
    "   SET state = a.next_state::seats_internal.outbox_state,"
    "       state_since = CASE WHEN o.state::text = a.next_state THEN o.state_since"
    "                          ELSE pg_catalog.clock_timestamp() END,"
    "       due_at = a.due_at, doubt = a.doubt,"
    "       first_sent_at = CASE WHEN a.forget_first_sent THEN NULL ELSE o.first_sent_at END,"
    "       api_version = CASE WHEN a.forget_first_sent THEN NULL ELSE o.api_version END,"
    "       tries = a.tries, attempts = a.attempts, generation = a.next_generation,"
    "       verifications = a.verifications, key_final_at = a.key_final_at,"
    "       reason = a.reason, last_error = a.error, error_code = a.error_code,"
    "       decline_code = a.decline_code,"
    "       request_id = coalesce(a.request_id, o.request_id), alone = false"
    "  FROM answer AS a"
    " WHERE o.id = a.id AND o.id = ANY ($1) AND o.generation = a.generation AND o.state::text = "
    "a.state RETURNING o.id"};

Statement attempts_statement{
    "INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose,"
    "    duration_ms, verdict, reason, http_status, request_id, error, sent, replayed) "
    "SELECT ring.slot, a.call_id, nullif(a.lane_id, 0), a.generation, a.number, a.purpose,"
    "    a.duration_us / 1000.0, a.verdict, a.reason, nullif(a.http_status, 0), a.request_id, "
    "a.error, a.sent,"
    "    a.replayed"
    "  FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::text[],"
    "      $6::integer[], $7::text[], $8::text[], $9::integer[], $10::text[], $11::text[],"
    "      $12::boolean[], $13::boolean[])"
    "    AS a (call_id, lane_id, generation, number, purpose, duration_us, verdict, reason,"
    "          http_status, request_id, error, sent, replayed)"
    " CROSS JOIN seats_internal.ring"};

// Not in the lane's own row: applications hold that one until they commit, and nobody waits for
// them.
Statement lane_marker_statement{
    "INSERT INTO seats_internal.lane_marker AS m (lane_id, marker) VALUES ($1, $2)"
    " ON CONFLICT (lane_id) DO UPDATE SET marker = excluded.marker"};

Statement journal_statement{"SELECT seats_internal.write_journal($1, 'pg_seats', $2, $3, $4)"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert($1, $2, $3, $4, hint => $5, call_id => $6,"
    "    destination => $7)"};

Statement resolve_statement{"SELECT seats_internal.resolve_alert($1, $2)"};

bool contains(const std::vector<std::int64_t>& ids, std::int64_t id) {
    return std::ranges::find(ids, id) != ids.end();
}

// Those of the ids that a statement has not given back: almost always none.
std::vector<std::int64_t> without(std::vector<std::int64_t> ids, const pg::Rows& done) {
    if (done.size() == ids.size()) {
        return {};
    }
    for (std::size_t row = 0; row < done.size(); ++row) {
        std::erase(ids, done.bigint(row, 1));
    }
    return ids;
}

std::int32_t microseconds(const Flight& flight) {
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(flight.answer.response.duration.count(), INT32_MAX));
}

// Gives the ids that are not finished after all: changed, or settled, behind our back.
std::vector<std::int64_t> store_finished(Settlements items) {
    std::vector<std::int64_t> id;
    std::vector<std::int32_t> generation, http_status, duration;
    std::vector<std::string_view> state, result, reason, error, request_id, answer, error_code,
        decline_code;
    std::vector<bool> clean;
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        id.push_back(flight.call.id);
        generation.push_back(flight.call.generation);
        state.emplace_back(flight.call.state);
        result.push_back(decision.result);
        http_status.push_back(flight.answer.response.status);
        duration.push_back(microseconds(flight));
        reason.emplace_back(decision.reason);
        const bool went_wrong = decision.result != "done";
        error.emplace_back(went_wrong ? decision.error : std::string_view{});
        error_code.emplace_back(went_wrong ? decision.error_code : std::string_view{});
        decline_code.emplace_back(went_wrong ? decision.decline_code : std::string_view{});
        request_id.emplace_back(flight.answer.response.headers.request_id);
        answer.emplace_back(decision.answer);
        clean.push_back(decision.clean);
    }
    const pg::Rows rows = finish_statement.run(
        {pg::bigints(id), pg::integers(generation), pg::texts(state), pg::texts(result),
         pg::integers(http_status), pg::integers(duration), pg::texts(reason), pg::texts(error),
         pg::texts(request_id), pg::byteas(answer), pg::booleans(clean), pg::texts(error_code),
         pg::texts(decline_code)});
    return without(std::move(id), rows);
}

// Gives the ids of rows that are not changed after all: somebody was there before.
std::vector<std::int64_t> store_changed(Engine& engine, Settlements items) {
    std::vector<std::int64_t> id;
    std::vector<std::int32_t> generation, tries, attempts, next_generation, verifications;
    std::vector<std::string_view> state, next_state, reason, error, request_id, error_code,
        decline_code;
    std::vector<TimestampTz> due_at, key_final_at;
    std::vector<bool> doubt, forget;
    // Never in the past: a due look that is running now must not pass it by.
    const TimestampTz now = pg::now() + USECS_PER_SEC / 1000;
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        id.push_back(flight.call.id);
        generation.push_back(flight.call.generation);
        state.emplace_back(flight.call.state);
        next_state.push_back(decision.state);
        const TimestampTz due =
            decision.due_in ? now + std::chrono::microseconds{*decision.due_in}.count() : 0;
        due_at.push_back(due);
        if (due != 0) {
            will_be_due(engine, due);
        }
        doubt.push_back(decision.doubt);
        forget.push_back(decision.forget_first_sent);
        tries.push_back(decision.tries);
        attempts.push_back(decision.attempts);
        next_generation.push_back(decision.generation);
        verifications.push_back(decision.verifications);
        key_final_at.push_back(decision.key_final_at);
        reason.emplace_back(decision.reason);
        error.emplace_back(decision.error);
        error_code.emplace_back(decision.error_code);
        decline_code.emplace_back(decision.decline_code);
        request_id.emplace_back(flight.answer.response.headers.request_id);
    }
    const pg::Rows rows = change_statement.run(
        {pg::bigints(id), pg::integers(generation), pg::texts(state), pg::texts(next_state),
         pg::timestamps(due_at), pg::booleans(doubt), pg::booleans(forget), pg::integers(tries),
         pg::integers(attempts), pg::integers(next_generation), pg::integers(verifications),
         pg::timestamps(key_final_at), pg::texts(reason), pg::texts(error), pg::texts(request_id),
         pg::texts(error_code), pg::texts(decline_code)});
    return without(std::move(id), rows);
}

void store_attempts(Settlements items) {
    std::vector<std::int64_t> call_id, lane_id;
    std::vector<std::int32_t> generation, number, duration, http_status;
    std::vector<std::string_view> purpose, verdict, reason, request_id, error;
    std::vector<bool> sent, replayed;
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        call_id.push_back(flight.call.id);
        lane_id.push_back(flight.call.lane_id);
        generation.push_back(flight.call.generation);
        number.push_back(flight.call.attempts);
        purpose.push_back(to_string(flight.purpose));
        duration.push_back(microseconds(flight));
        verdict.push_back(decision.verdict);
        reason.emplace_back(decision.reason);
        http_status.push_back(flight.answer.response.status);
        request_id.emplace_back(flight.answer.response.headers.request_id);
        error.emplace_back(decision.error);
        sent.push_back(flight.answer.response.sent);
        replayed.push_back(flight.answer.response.headers.replayed);
    }
    attempts_statement.run({pg::bigints(call_id), pg::bigints(lane_id), pg::integers(generation),
                            pg::integers(number), pg::texts(purpose), pg::integers(duration),
                            pg::texts(verdict), pg::texts(reason), pg::integers(http_status),
                            pg::texts(request_id), pg::texts(error), pg::booleans(sent),
                            pg::booleans(replayed)});
}

// Before what the subscription shows is looked at: a replay proves its own call, and there may be
// the marker of a later one by now.
void store_marker(const Settlement& item) {
    const auto& [flight, decision] = item;
    if (decision.proves_marker && flight.call.lane_id != 0) {
        lane_marker_statement.run({pg::bigint(flight.call.lane_id), pg::text(flight.call.marker)});
    }
}

void store_rare(Engine& engine, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (!decision.journal_kind.empty()) {
        journal_statement.run(
            {pg::text(decision.journal_kind), pg::bigint(flight.call.id),
             flight.call.lane_id != 0 ? pg::bigint(flight.call.lane_id) : pg::null_of(INT8OID),
             pg::text_or_null(decision.reason)});
        engine.announce = true;
    }
    if (decision.alert) {
        const Alert& alert = *decision.alert;
        alert_statement.run({pg::text(alert.fingerprint), pg::text(alert.severity),
                             pg::text(alert.kind), pg::text(core::safe_text(alert.summary, 900)),
                             pg::text_or_null(alert.hint), pg::bigint(flight.call.id),
                             pg::text(flight.destination->name)});
        engine.announce = true;
        if (decision.state == "review") {
            count(engine.slot.counters.reviews);
        }
    }
    if (item.is_over() && flight.call.row_errors > 0) {
        resolve_statement.run({pg::text("settling:" + std::to_string(flight.call.id)),
                               pg::text("settled after all")});
    }
}

// Locks the lanes that storing needs, and gives those of the items whose lane somebody else holds.
std::vector<const Settlement*> lock_lanes(Engine& engine, Settlements items) {
    const auto wants_lane = [](const Settlement& item) {
        const kinds::Kind& kind = kinds::kind_of(item);
        return kind.wants_lane != nullptr && kind.wants_lane(item);
    };
    std::vector<const Settlement*> locked;
    std::vector<std::int64_t> lanes;
    for (const Settlement* item : items) {
        if (wants_lane(*item)) {
            lanes.push_back(item->flight.call.busy_lane());
        }
    }
    if (lanes.empty()) {
        return locked;
    }
    const pg::Rows rows =
        take_lanes_statement.run({pg::bigints(lanes), pg::bigint(engine.patient_for)});
    std::vector<std::int64_t> taken;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        taken.push_back(rows.bigint(row, 1));
    }
    for (const Settlement* item : items) {
        if (wants_lane(*item) && !contains(taken, item->flight.call.busy_lane())) {
            locked.push_back(item);
        }
    }
    return locked;
}

// The rows themselves, their attempts and markers. Gives the ids of those that were left as they
// are: somebody has changed or settled them meanwhile.
std::vector<std::int64_t> store_rows(Engine& engine, Settlements items) {
    std::vector<const Settlement*> finished, changed, attempts;
    for (const Settlement* item : items) {
        if (!item->is_over() && !item->stays()) {
            continue;  // only what was read is stored
        }
        (item->is_over() ? finished : changed).push_back(item);
        if (!item->decision.clean) {
            attempts.push_back(item);
        }
    }
    std::vector<std::int64_t> left;
    if (!finished.empty()) {
        left = store_finished(finished);
    }
    if (!changed.empty()) {
        const auto unchanged = store_changed(engine, changed);
        left.insert(left.end(), unchanged.begin(), unchanged.end());
    }
    if (!attempts.empty()) {
        store_attempts(attempts);
    }
    for (const Settlement* item : items) {
        if (!contains(left, item->flight.call.id)) {
            store_marker(*item);
        }
    }
    return left;
}

// What hangs on the rows, kind by kind, in the order of the table. (A lane has one item in a batch
// at most, so nothing hangs on the order.)
kinds::Follow store_by_kind(Engine& engine, Settlements items,
                            const std::vector<std::int64_t>& left) {
    kinds::Storing storing{.run = engine.run, .left = left};
    std::vector<const Settlement*> of_kind;
    for (const kinds::Kind* kind : kinds::all) {
        if (kind->store == nullptr) {
            continue;
        }
        of_kind.clear();
        std::ranges::copy_if(items, std::back_inserter(of_kind), [kind](const Settlement* item) {
            return &kinds::kind_of(*item) == kind;
        });
        if (!of_kind.empty()) {
            kind->store(storing, of_kind);
        }
    }
    return storing.follow;
}

void after_commit(Engine& engine, const Settlement& item, const std::vector<std::int64_t>& left) {
    const auto& [flight, decision] = item;
    trace_stored(item, contains(left, flight.call.id));
    const bool finished = item.is_over() && !contains(left, flight.call.id);
    if (flight.call.busy_lane() != 0) {
        release_lane(
            engine, *flight.destination, flight.call.busy_lane(),
            finished && flight.call.lane_id != 0 ? std::optional(flight.call.id) : std::nullopt);
    }
    if (flight.call.team_id != 0) {
        engine.wake_all_waiters = true;  // others may have been settled along with it
    }
    if (flight.call.lane_id == 0 && item.stays() && !decision.due_in &&
        decision.state != "review") {
        // Held: its destination is halted.
        if (flight.call.beside_lane_id != 0) {
            offer_read(engine, *flight.destination, flight.call.id, flight.call.beside_lane_id,
                       flight.call.interrupted);
        } else {
            offer_row(engine, *flight.destination, flight.call.id, flight.call.interrupted);
        }
    }
    engine.settled_calls.push_back(flight.call.id);
}

void follow(Engine& engine, const kinds::Follow& wanted) {
    engine.look_for_arrivals |= wanted.arrivals;
    engine.announce |= wanted.news;
    engine.wake_all_waiters |= wanted.all_waiters;
    engine.events_expected |= wanted.events;
    if (wanted.receivers) {
        engine.tell_at = {};
    }
}

}  // namespace

Stored store(Engine& engine, Settlements all) {
    Stored stored;
    stored.locked = lock_lanes(engine, all);
    std::vector<const Settlement*> items;
    std::ranges::copy_if(all, std::back_inserter(items), [&stored](const Settlement* item) {
        return std::ranges::find(stored.locked, item) == stored.locked.end();
    });
    stored.left = store_rows(engine, items);
    stored.follow = store_by_kind(engine, items, stored.left);
    for (const Settlement* item : items) {
        if (!contains(stored.left, item->flight.call.id)) {
            store_rare(engine, *item);
        }
    }
    pg::stand_at("before_settle_commit");
    return stored;
}

void after_commit(Engine& engine, Settlements all, const Stored& stored) {
    for (const Settlement* item : all) {
        if (std::ranges::find(stored.locked, item) == stored.locked.end()) {
            after_commit(engine, *item, stored.left);
        }
    }
    follow(engine, stored.follow);
}

}  // namespace pg_seats::engine
