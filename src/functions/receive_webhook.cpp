// seats.receive_webhook(): a webhook of Stripe's, checked over the bytes that came, stripped of
// secrets, and given to SQL (schema/stripe_events/endpoints.sql), which stores and processes
// it.
//
// Runs as its caller, whom it asks for no privilege but EXECUTE; everything of ours is read and
// written as the extension's owner. Whatever a stranger can send is answered and raises nothing.
#include <string.h>  // explicit_bzero

#include "core/event.hpp"
#include "core/secrets.hpp"
#include "core/webhook_signature.hpp"

#include "functions/kept_plan.hpp"
#include "functions/setup_rows.hpp"
#include "functions/sqlstates.hpp"
#include "functions/texts.hpp"
#include "pg/arguments.hpp"
#include "pg/error.hpp"
#include "pg/hmac.hpp"
#include "pg/identity_switch.hpp"
#include "pg/secrets.hpp"
#include "pg/shared_state.hpp"
#include "pg/time.hpp"
#include "pg/wake.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace {

using namespace pg_seats;

enum Argument { payload_argument, signature_argument, endpoint_argument };

// Stripe's own are far below; more is nobody's whom we know.
constexpr Size largest_payload = Size{1024} * 1024;
constexpr Size longest_signature = 8192;

// Below: functions that may raise and hold no C++ objects.

// Every schema is named, of operators too: these run as the extension's owner, under the caller's
// search_path.
KeptPlan take_event{
    "SELECT t.http_status, t.outcome FROM seats_internal.take_event($1, $2, $3, $4) AS t", nullptr};

KeptPlan alert_missing_secret{"SELECT seats_internal.webhook_secret_missing($1, $2)", nullptr};

constexpr int most_secrets = 5;

// Names of files; allocated in the context of the caller of the function.
struct SecretNames {
    int count;
    const char* names[most_secrets];
};

void connect() {
    if (SPI_connect() != SPI_OK_CONNECT) {
        elog(ERROR, "could not connect to SPI");
    }
}

void raise_unknown_endpoint(Datum name) {
    ereport(ERROR, (errcode(sqlstate::unknown_webhook_endpoint),
                    errmsg("there is no webhook endpoint \"%s\"", TextDatumGetCString(name)),
                    errhint("seats.define_webhook_endpoint() makes one; the view "
                            "seats.webhook_endpoints lists them.")));
}

void read_endpoint(FunctionCallInfo fcinfo, SecretNames* found) {
    const Datum name = PG_GETARG_DATUM(endpoint_argument);
    found->count = find_webhook_secrets(name, found->names, most_secrets);
    if (found->count < 0) {
        raise_unknown_endpoint(name);
    }
}

void report_missing_secret(FunctionCallInfo fcinfo, std::string_view problem) {
    const pg::Identity before = pg::become(pg::owner_of_function(fcinfo->flinfo->fn_oid));
    connect();
    const Oid types[] = {TEXTOID, TEXTOID};
    const Datum values[] = {PG_GETARG_DATUM(endpoint_argument), text_datum(problem)};
    run_kept(alert_missing_secret, 2, types, values);
    SPI_finish();
    pg::become_again(before);
    pg::wake_worker_at_commit(pg::wake_rows);
}

// What is answered. The outcome is one of ours, and short.
struct Answer {
    std::int32_t http_status;
    char outcome[64];
};

void store_event(FunctionCallInfo fcinfo, std::string_view payload, const char* facts,
                 bool all_secrets, Answer* answer) {
    const pg::Identity before = pg::become(pg::owner_of_function(fcinfo->flinfo->fn_oid));
    connect();
    const Oid types[] = {TEXTOID, BYTEAOID, JSONBOID, BOOLOID};
    const Datum values[] = {PG_GETARG_DATUM(endpoint_argument), text_datum(payload),
                            DirectFunctionCall1(jsonb_in, CStringGetDatum(facts)),
                            BoolGetDatum(all_secrets)};
    run_kept(take_event, 4, types, values);
    bool is_null = false;
    HeapTuple const row = SPI_tuptable->vals[0];
    answer->http_status = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null));
    strlcpy(answer->outcome, SPI_getvalue(row, SPI_tuptable->tupdesc, 2), sizeof answer->outcome);
    SPI_finish();
    pg::become_again(before);
    const bool is_left = strcmp(answer->outcome, "stored") == 0;
    pg::wake_worker_at_commit(is_left ? pg::wake_rows | pg::wake_webhooks : pg::wake_rows);
}

Datum answer_row(FunctionCallInfo fcinfo, const Answer* answer, std::string_view event_id) {
    TupleDesc description = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE) {
        elog(ERROR, "pg_seats: function %u should return a row", fcinfo->flinfo->fn_oid);
    }
    const Datum values[] = {Int32GetDatum(answer->http_status),
                            CStringGetTextDatum(answer->outcome), text_datum(event_id)};
    const bool nulls[] = {false, false, event_id.empty()};
    HeapTuple const row = heap_form_tuple(BlessTupleDesc(description), const_cast<Datum*>(values),
                                          const_cast<bool*>(nulls));
    return HeapTupleGetDatum(row);
}

// From here on C++.

// The signing secrets, wiped at the end.
class SigningSecrets {
  public:
    explicit SigningSecrets(const SecretNames& names) {
        secrets_.reserve(static_cast<std::size_t>(names.count));  // none is ever moved
        for (int i = 0; i < names.count; ++i) {
            const pg::SecretReading reading = pg::read_secret(names.names[i]);
            if (reading.ok()) {
                secrets_.emplace_back(reading.secret.reveal());
            } else {
                problem_ = reading.refusal.reason;
            }
        }
    }
    SigningSecrets(const SigningSecrets&) = delete;
    SigningSecrets& operator=(const SigningSecrets&) = delete;
    ~SigningSecrets() {
        for (std::string& secret : secrets_) {
            explicit_bzero(secret.data(), secret.size());
        }
    }
    [[nodiscard]] std::span<const std::string> all() const noexcept { return secrets_; }
    // Whoever signs with one could also write it into the event.
    [[nodiscard]] std::string struck_from(std::string text) const {
        for (const std::string& secret : secrets_) {
            core::strike(text, secret);
        }
        return text;
    }
    // Why one of them could not be read; names the file only.
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  private:
    std::vector<std::string> secrets_;
    std::string problem_;
};

std::string_view argument(FunctionCallInfo fcinfo, Argument number) {
    return pg::guard(pg::bytes_argument, fcinfo, static_cast<int>(number));
}

bool is_longer(FunctionCallInfo fcinfo, Argument number, Size limit) {
    return pg::guard(pg::raw_size_of_argument, fcinfo, static_cast<int>(number)) - VARHDRSZ > limit;
}

Answer answered(std::int32_t http_status, std::string_view outcome) {
    Answer answer{http_status, {}};
    outcome.copy(answer.outcome, sizeof answer.outcome - 1);
    return answer;
}

// nullopt: the signature is good.
std::optional<Answer> refusal_of(FunctionCallInfo fcinfo, std::string_view payload,
                                 const SigningSecrets& secrets) {
    if (PG_ARGISNULL(signature_argument) ||
        is_longer(fcinfo, signature_argument, longest_signature)) {
        return answered(400, "signature_malformed");
    }
    const core::SignatureOutcome outcome =
        core::check_stripe_signature(argument(fcinfo, signature_argument), payload, secrets.all(),
                                     pg::unix_seconds(GetCurrentTimestamp()), pg::hmac_sha256);
    switch (outcome) {
        case core::SignatureOutcome::ok:
            return std::nullopt;
        case core::SignatureOutcome::malformed:
            return answered(400, "signature_malformed");
        case core::SignatureOutcome::too_old:
            return answered(400, "signature_too_old");
        case core::SignatureOutcome::too_new:
            return answered(400, "signature_too_new");
        case core::SignatureOutcome::no_secret:
        case core::SignatureOutcome::mismatch:
            break;
    }
    // It may have been signed with the one that cannot be read: Stripe is to send it again.
    if (!secrets.problem().empty()) {
        const std::string_view problem = secrets.problem();
        pg::guard(report_missing_secret, fcinfo, problem);
        return answered(500, "no_secret");
    }
    return answered(400, "signature_mismatch");
}

}  // namespace

PG_SEATS_FUNCTION(pg_seats_receive_webhook) {
    if (PG_ARGISNULL(endpoint_argument)) {
        throw pg::SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "endpoint must not be null");
    }
    std::string_view payload;
    std::string_view event_id;
    std::optional<core::EventFacts> facts;
    Answer answer{};
    const bool too_large =
        !PG_ARGISNULL(payload_argument) && is_longer(fcinfo, payload_argument, largest_payload);
    if (too_large) {
        answer = answered(413, "too_large");
    } else {
        if (!PG_ARGISNULL(payload_argument)) {
            payload = argument(fcinfo, payload_argument);
        }
        SecretNames names{};
        pg::guard(read_endpoint, fcinfo, &names);
        const SigningSecrets secrets(names);
        const std::optional<Answer> refusal = refusal_of(fcinfo, payload, secrets);
        if (refusal) {
            answer = *refusal;
        } else if (!(facts = core::read_event(core::ParsedBody(payload)))) {
            answer = answered(400, "not_an_event");
        } else {
            event_id = facts->id;
            const std::string stripped = secrets.struck_from(core::strip_secrets(payload));
            const std::string json = secrets.struck_from(core::to_json(*facts));
            pg::guard(store_event, fcinfo, std::string_view(stripped), json.c_str(),
                      secrets.problem().empty(), &answer);
        }
    }
    pg::count_webhook(MyDatabaseId, answer.outcome);
    const Answer* const given = &answer;
    return pg::guard(answer_row, fcinfo, given, event_id);
}
