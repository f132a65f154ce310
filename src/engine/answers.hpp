// What has come back from the wire: judged, decided, and the next thing done about it.
#pragma once

#include "engine/settle.hpp"

namespace pg_seats::engine {

// All answers that are there, but those of suspects: what is decided goes to `batch`.
void take_answers(Engine& engine, std::vector<Settlement>& batch);

// Whoever is suspected of ending workers is looked at by himself, and the table says so meanwhile.
void take_answer_of_suspect(Engine& engine, std::vector<Settlement>& batch);

}  // namespace pg_seats::engine
