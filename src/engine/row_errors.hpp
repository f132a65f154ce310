// When the database says no to one row: who is charged with an error, and who is not.
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

// The same of an answer that could not even be decided about.
bool charge_answer(Engine& engine, const Flight& flight, const pg::Failure& failure);

}  // namespace pg_seats::engine
