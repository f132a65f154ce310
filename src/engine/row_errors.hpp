// When the database itself says no: who is charged with an error, and who is not.
#pragma once

#include "engine/settle.hpp"

namespace pg_seats::engine {

// A claim's transaction failed. Resource errors and conflicts charge nobody; otherwise the rows are
// claimed one by one until the one is found that raises.
void claim_failed(Engine& engine, const pg::Failure& failure,
                  const std::vector<Candidate>& candidates);

// One settlement raised in a transaction of its own. Stripe has answered, so this is a critical
// alert; after a few tries the row goes to review. False if not even that could be stored.
bool charge_row(Engine& engine, const Settlement& item, const pg::Failure& failure);

// Settling is impossible for now (disk full, read-only, …): the answers are kept, nothing new is
// claimed for a moment.
void settling_failed(Engine& engine, const pg::Failure& failure);

// What has to be done before anything else did not go through.
void cannot_begin(Engine& engine, const pg::Failure& failure, std::string_view what);

// What was tried after a failure has gone through.
void trouble_is_over(Engine& engine);

}  // namespace pg_seats::engine
