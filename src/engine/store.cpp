#include "engine/store.hpp"

#include <algorithm>

#include "core/contains.hpp"
#include "core/safe_text.hpp"
#include "engine/pages.hpp"
#include "engine/ready.hpp"
#include "engine/trace.hpp"

#include "engine/find.hpp"
#include "pg/columns.hpp"
#include "pg/debug_point.hpp"
#include "pg/secret_slots.hpp"
#include "pg/time.hpp"

namespace pg_seats::engine {
namespace {

using core::contains;
using pg::Statement;

Statement take_lanes_statement{"SELECT unnest(seats_internal.take_lanes($1, $2))"};

// ---- what is stored of an answer, said once: the columns' names in SQL, and what they are here

using pg::Bigint, pg::Boolean, pg::Bytea, pg::Integer, pg::Text, pg::Timestamptz, pg::column;
using Item = const Settlement*;

// A row that stays in the outbox.
struct Staying {
    Item item;
    TimestampTz due_at;  // 0: when its destination takes calls
};

constexpr std::string_view view(const std::string& text) {
    return text;
}

// What went well has none.
std::string_view if_wrong(Item item, const std::string& error) {
    return item->decision.result != core::Result::done ? view(error) : std::string_view{};
}

std::string_view verdict_of(Item item) {
    const auto& verdict = item->decision.verdict;
    return verdict ? to_string(*verdict) : std::string_view{};
}

std::int32_t microseconds(const Flight& flight) {
    return static_cast<std::int32_t>(
        std::min<std::int64_t>(flight.answer.response.duration.count(), INT32_MAX));
}

// clang-format off
constexpr std::tuple finished_columns{
    column<Bigint>("id", [](Item item) { return item->flight.call.id; }),
    column<Integer>("generation", [](Item item) { return item->flight.call.generation; }),
    column<Text>("state", [](Item item) { return to_string(item->flight.call.state); }),
    column<Text>("result", [](Item item) { return to_string(item->decision.result); }),
    column<Integer>("http_status", [](Item item) { return item->flight.answer.response.status; }),
    column<Integer>("duration_us", [](Item item) { return microseconds(item->flight); }),
    column<Text>("proof", [](Item item) { return to_string(item->decision.proof); }),
    column<Text>("reason", [](Item item) { return view(item->decision.reason); }),
    column<Text>("error", [](Item item) { return if_wrong(item, item->decision.error); }),
    column<Text>("request_id", [](Item item) { return view(item->flight.answer.response.headers.request_id); }),
    column<Bytea>("answer", [](Item item) { return view(item->decision.answer); }),
    column<Boolean>("clean", [](Item item) { return item->decision.clean; }),
    column<Text>("error_code", [](Item item) { return if_wrong(item, item->decision.error_code); }),
    column<Text>("decline_code", [](Item item) { return if_wrong(item, item->decision.decline_code); }),
    column<Text>("invoice", [](Item item) { return view(item->decision.invoice); })};

constexpr std::tuple staying_columns{
    column<Bigint>("id", [](const Staying& row) { return row.item->flight.call.id; }),
    column<Integer>("generation", [](const Staying& row) { return row.item->flight.call.generation; }),
    column<Text>("state", [](const Staying& row) { return to_string(row.item->flight.call.state); }),
    column<Text>("next_state", [](const Staying& row) { return to_string(row.item->decision.state); }),
    column<Timestamptz>("due_at", [](const Staying& row) { return row.due_at; }),
    column<Boolean>("doubt", [](const Staying& row) { return row.item->decision.doubt; }),
    column<Boolean>("forget_first_sent", [](const Staying& row) { return row.item->decision.forget_first_sent; }),
    column<Integer>("tries", [](const Staying& row) { return row.item->decision.tries; }),
    column<Integer>("attempts", [](const Staying& row) { return row.item->decision.attempts; }),
    column<Integer>("next_generation", [](const Staying& row) { return row.item->decision.generation; }),
    column<Integer>("verifications", [](const Staying& row) { return row.item->decision.verifications; }),
    column<Timestamptz>("key_final_at", [](const Staying& row) { return row.item->decision.key_final_at; }),
    column<Text>("reason", [](const Staying& row) { return view(row.item->decision.reason); }),
    column<Text>("error", [](const Staying& row) { return view(row.item->decision.error); }),
    column<Text>("request_id", [](const Staying& row) { return view(row.item->flight.answer.response.headers.request_id); }),
    column<Text>("error_code", [](const Staying& row) { return view(row.item->decision.error_code); }),
    column<Text>("decline_code", [](const Staying& row) { return view(row.item->decision.decline_code); }),
    column<Text>("list_cursor", [](const Staying& row) { return view(row.item->decision.list_cursor); })};

constexpr std::tuple attempt_columns{
    column<Bigint>("call_id", [](Item item) { return item->flight.call.id; }),
    column<Bigint>("lane_id", [](Item item) { return item->flight.call.lane_id; }),
    column<Integer>("generation", [](Item item) { return item->flight.call.generation; }),
    column<Integer>("number", [](Item item) { return item->flight.call.attempts; }),
    column<Text>("purpose", [](Item item) { return to_string(item->flight.leg.purpose); }),
    column<Integer>("duration_us", [](Item item) { return microseconds(item->flight); }),
    column<Text>("verdict", [](Item item) { return verdict_of(item); }),
    column<Text>("reason", [](Item item) { return view(item->decision.reason); }),
    column<Integer>("http_status", [](Item item) { return item->flight.answer.response.status; }),
    column<Text>("request_id", [](Item item) { return view(item->flight.answer.response.headers.request_id); }),
    column<Text>("error", [](Item item) { return view(item->decision.error); }),
    column<Boolean>("sent", [](Item item) { return item->flight.answer.response.sent; }),
    column<Boolean>("replayed", [](Item item) { return item->flight.answer.response.headers.replayed; })};
// clang-format on

// `o.id = ANY ($1)` beside the join: without it a plan that was made while the table was empty
// reads the whole index (measured: ten times slower after the first vacuum).
//
// Compare and set: whatever was changed behind our back (by an operator's verb, say) is left alone.
//
// The ring's slot is asked for by itself: joined, the ring is read once more for each row.
constexpr auto finish_sql =
    pg::Sql{"WITH answer AS MATERIALIZED (SELECT * FROM "} + pg::unnest(finished_columns) +
    "),"
    " gone AS ("
    "  DELETE FROM seats_internal.outbox AS o USING answer AS a"
    "   WHERE o.id = a.id AND o.id = ANY ($1) AND o.generation = a.generation AND o.state::text = "
    "a.state"
    "  RETURNING o.id, o.lane_id, o.created_at, o.first_sent_at, o.uuid, o.installation,"
    "      a.result, a.proof, o.generation, o.attempts, a.http_status, a.duration_us, a.clean, "
    "o.destination,"
    "      o.method, o.path, o.body, o.enqueued_by, a.reason, a.error, a.error_code, "
    "a.decline_code,"
    "      a.request_id, o.context,"
    "      a.answer, o.kind, o.team_id, o.payment_id, o.actor, o.acting_person, o.lines, o.base, "
    "o.target, o.last_id, o.payment, a.invoice)"
    "INSERT INTO seats_internal.outbox_history (ring, id, lane_id, created_at, first_sent_at,"
    "    settled_at, uuid, installation, result, proof, generation, attempts, http_status, "
    "duration_ms,"
    "    clean, destination, method, path, body, enqueued_by, reason, error, error_code,"
    "    decline_code, request_id, context, answer, kind, team_id, payment_id, actor, "
    "acting_person, lines, base, "
    "target, invoice) "
    "SELECT (SELECT ring.slot FROM seats_internal.ring), g.id, g.lane_id, g.created_at,"
    "    g.first_sent_at,"
    "    pg_catalog.clock_timestamp(), g.uuid, g.installation, g.result, g.proof, g.generation, "
    "g.attempts,"
    "    nullif(g.http_status, 0), g.duration_us / 1000.0, g.clean, g.destination, g.method, "
    "g.path, g.body,"
    "    g.enqueued_by, g.reason, g.error, g.error_code, g.decline_code, g.request_id, g.context,"
    "    g.answer, g.kind, g.team_id, g.payment_id,"
    "    g.actor, g.acting_person, g.lines, g.base, g.target,"
    // (Of one change alone, of which no payment was waited for, as nearly always, it is the
    // answer's.)
    "    CASE WHEN g.invoice IS NOT NULL AND g.payment IS NULL AND g.last_id IS NULL THEN"
    "         (SELECT seats_internal.invoice_made(i.invoice, (SELECT t.latest_invoice"
    "             FROM seats_internal.team AS t WHERE t.id = g.team_id))"
    "            FROM (SELECT g.invoice::jsonb AS invoice OFFSET 0) AS i)"
    "         WHEN g.invoice IS NOT NULL OR g.payment IS NOT NULL AND g.result = 'done' THEN"
    "         seats_internal.invoice_of_call(g.invoice::jsonb, g.payment, g.team_id,"
    "             g.last_id IS NOT NULL) END"
    "  FROM gone AS g RETURNING id,"
    "    (SELECT true FROM seats_internal.handler AS h WHERE h.call_id = outbox_history.id)";
Statement finish_statement{finish_sql.text()};
Statement ended_statement{"SELECT seats_internal.calls_ended($1)"};

constexpr auto stay_sql =
    pg::Sql{"WITH answer AS MATERIALIZED (SELECT * FROM "} + pg::unnest(staying_columns) +
    ") "
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
    "       decline_code = a.decline_code, list_cursor = a.list_cursor,"
    "       request_id = coalesce(a.request_id, o.request_id), alone = false"
    "  FROM answer AS a"
    " WHERE o.id = a.id AND o.id = ANY ($1) AND o.generation = a.generation AND o.state::text = "
    "a.state RETURNING o.id";
Statement stay_statement{stay_sql.text()};

constexpr auto attempts_sql =
    pg::Sql{
        "INSERT INTO seats_internal.attempt (ring, call_id, lane_id, generation, number, purpose,"
        "    duration_ms, verdict, reason, http_status, request_id, error, sent, replayed) "
        "SELECT ring.slot, a.call_id, nullif(a.lane_id, 0), a.generation, a.number, a.purpose,"
        "    a.duration_us / 1000.0, a.verdict, a.reason, nullif(a.http_status, 0), a.request_id, "
        "a.error, a.sent,"
        "    a.replayed"
        "  FROM "} +
    pg::unnest(attempt_columns) + " CROSS JOIN seats_internal.ring";
Statement attempts_statement{attempts_sql.text()};

Statement journal_statement{"SELECT seats_internal.write_journal($1, 'pg_seats', $2, $3, $4)"};

Statement alert_statement{
    "SELECT seats_internal.raise_alert($1, $2, $3, $4, hint => $5, call_id => $6,"
    "    destination => $7)"};

Statement resolve_statement{"SELECT seats_internal.resolve_alert($1, $2)"};

std::vector<std::int64_t> ids_of(Settlements items) {
    std::vector<std::int64_t> ids;
    ids.reserve(items.size());
    for (const Settlement* item : items) {
        ids.push_back(item->flight.call.id);
    }
    return ids;
}

// Those of the ids that a statement has not given back: almost always none.
std::vector<std::int64_t> not_given(std::vector<std::int64_t> ids, const pg::Rows& done) {
    if (done.size() == ids.size()) {
        return {};
    }
    for (std::size_t row = 0; row < done.size(); ++row) {
        std::erase(ids, done.bigint(row, 1));
    }
    return ids;
}

// Gives the ids that are not finished after all: changed, or settled, behind our back.
//
// Rows end here and in move_to_history (src/schema/outbox/history.sql), and nowhere else. What
// hangs on every end, of whatever kind, is calls_ended, which both call; here behind the statement,
// and only for those whose caller has named a handler.
std::vector<std::int64_t> store_finished(Settlements items) {
    const pg::Rows finished = finish_statement.run(pg::arrays(finished_columns, items));
    std::vector<std::int64_t> with_handler;
    for (std::size_t row = 0; row < finished.size(); ++row) {
        if (!finished.is_null(row, 2)) {
            with_handler.push_back(finished.bigint(row, 1));
        }
    }
    std::vector<std::int64_t> left = not_given(ids_of(items), finished);
    if (!with_handler.empty()) {
        ended_statement.run({pg::bigints(with_handler)});
    }
    return left;
}

// Gives the ids of rows that are not changed after all: somebody was there before.
std::vector<std::int64_t> store_staying(Engine& engine, Settlements items) {
    // Never in the past: a due look that is running now must not pass it by.
    const TimestampTz now = pg::now() + USECS_PER_SEC / 1000;
    std::vector<Staying> staying;
    staying.reserve(items.size());
    for (const Settlement* item : items) {
        const auto& due_in = item->decision.due_in;
        const TimestampTz due_at = due_in ? now + std::chrono::microseconds{*due_in}.count() : 0;
        if (due_at != 0) {
            will_be_due(engine, due_at);
        }
        staying.push_back({item, due_at});
    }
    return not_given(ids_of(items), stay_statement.run(pg::arrays(staying_columns, staying)));
}

// Before what the subscription shows is looked at: a replay proves its own call, and there may be
// the marker of a later one by now. (A lane has one item in a batch at most. What only was read of
// a subscription changes the page if it is news, and whoever stores it knows that.)
void store_lanes(Settlements items, const std::vector<std::int64_t>& left) {
    LaneNews news;
    for (const Settlement* item : items) {
        const auto& [flight, decision] = *item;
        const bool is_shown = is_on_a_page(flight.call) && (item->is_over() || item->stays());
        if (flight.call.lane_id != 0 && !contains(left, flight.call.id) &&
            (decision.proves_marker || is_shown)) {
            news.add(flight.call.lane_id,
                     decision.proves_marker ? view(flight.call.marker) : std::string_view{});
        }
    }
    store_lane_news(news);
}

void store_rare(Engine& engine, const Settlement& item) {
    const auto& [flight, decision] = item;
    if (decision.journal != core::JournalKind::none) {
        journal_statement.run(
            {pg::text(to_string(decision.journal)), pg::bigint(flight.call.id),
             flight.call.lane_id != 0 ? pg::bigint(flight.call.lane_id) : pg::null_of(INT8OID),
             pg::text_or_null(decision.reason)});
        engine.announce = true;
    }
    if (decision.alert) {
        const core::Alert& alert = *decision.alert;
        alert_statement.run({pg::text(alert.fingerprint), pg::text(alert.severity),
                             pg::text(alert.kind), pg::text(core::safe_text(alert.summary, 900)),
                             pg::text_or_null(alert.hint), pg::bigint(flight.call.id),
                             pg::text(destination_of(flight).name)});
        engine.announce = true;
        if (decision.state == core::State::review) {
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
        take_lanes_statement.run({pg::bigints(lanes), pg::bigint(engine.queue_for_lane)});
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
    std::vector<const Settlement*> finished, staying, attempts;
    for (const Settlement* item : items) {
        if (!item->is_over() && !item->stays()) {
            continue;  // only what was read is stored
        }
        (item->is_over() ? finished : staying).push_back(item);
        if (!item->decision.clean) {
            attempts.push_back(item);
        }
    }
    std::vector<std::int64_t> left;
    if (!finished.empty()) {
        left = store_finished(finished);
    }
    if (!staying.empty()) {
        const auto unchanged = store_staying(engine, staying);
        left.insert(left.end(), unchanged.begin(), unchanged.end());
    }
    if (!attempts.empty()) {
        attempts_statement.run(pg::arrays(attempt_columns, attempts));
    }
    store_lanes(items, left);
    return left;
}

// What hangs on the rows, kind by kind, in the order of the table. (A lane has one item in a batch
// at most, so nothing hangs on the order.)
kinds::Follow store_by_kind(Engine& engine, Settlements items,
                            const std::vector<std::int64_t>& left) {
    kinds::Storing storing{.run = engine.run, .left = left};
    // (A copy's journal is left as it is, and nobody has looked yet where a worker has just
    // started.)
    if (engine.may_send() && engine.journal_seen != nothing_seen) {
        storing.journal_seen = engine.journal_seen;
    }
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

// To whoever waits for a client secret: here it is, or look how its subject stands.
void hand_secret_over(Engine& engine, const Settlement& item, const kinds::Follow& wanted) {
    const auto& [flight, decision] = item;
    const kinds::Kind& kind = kinds::kind_of(item);
    if (kind.secret_subject == nullptr || !item.is_over()) {
        return;
    }
    static_assert(core::ClientSecret::longest < pg::secret_size);
    pg::stand_at("before_hand_over");
    const std::int64_t subject = kind.secret_subject(flight.call);
    const bool may_be_given = contains(wanted.secrets, flight.call.id);
    pg::hand_over_secret(subject, may_be_given ? decision.secret.reveal() : std::string_view());
    engine.settled_calls.push_back(subject);
}

void after_commit(Engine& engine, const Settlement& item, const std::vector<std::int64_t>& left) {
    const auto& [flight, decision] = item;
    trace_stored(item, contains(left, flight.call.id));
    const bool finished = item.is_over() && !contains(left, flight.call.id);
    if (flight.call.busy_lane() != 0) {
        release_lane(
            engine, destination_of(flight), flight.call.busy_lane(),
            finished && flight.call.lane_id != 0 ? std::optional(flight.call.id) : std::nullopt);
    }
    if (flight.call.team_id != 0) {
        engine.wake_all_waiters = true;  // others may have been settled along with it
    }
    if (flight.call.lane_id == 0 && item.stays() && !decision.due_in &&
        decision.state != core::State::review) {
        // Held: its destination is halted.
        if (flight.call.beside_lane_id != 0) {
            offer_read(engine, destination_of(flight), flight.call.id, flight.call.beside_lane_id,
                       flight.call.interrupted);
        } else {
            offer_row(engine, destination_of(flight), flight.call.id, flight.call.interrupted);
        }
    }
    engine.settled_calls.push_back(flight.call.id);
}

void follow(Engine& engine, const kinds::Follow& wanted) {
    engine.look_for_arrivals |= wanted.arrivals;
    engine.announce |= wanted.news;
    engine.has_numbered |= wanted.numbers;
    engine.wake_all_waiters |= wanted.all_waiters;
    engine.events_expected |= wanted.events;
    if (wanted.receivers) {
        engine.deliver_at = {};
    }
}

}  // namespace

// (An intent that is nobody's is cancelled in nobody's lane.)
bool wants_lane(const Settlement& item) {
    const kinds::Kind& kind = kinds::kind_of(item);
    return kind.wants_lane != nullptr && kind.wants_lane(item) && item.flight.call.busy_lane() != 0;
}

Stored store(Engine& engine, Settlements all) {
    Stored stored;
    stored.locked = lock_lanes(engine, all);
    std::vector<const Settlement*> items;
    std::ranges::copy_if(all, std::back_inserter(items), [&stored](const Settlement* item) {
        return !contains(stored.locked, item);
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
    follow(engine, stored.follow);
    for (const Settlement* item : all) {
        if (!contains(stored.locked, item)) {
            after_commit(engine, *item, stored.left);
            hand_secret_over(engine, *item, stored.follow);
        }
    }
}

}  // namespace pg_seats::engine
