// One request on its way through the API, as a handler sees it, and the handler's answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/error.hpp"
#include "api/form.hpp"
#include "api/ledger.hpp"
#include "base/json.hpp"

namespace stripe_simulator {

class World;
struct Account;

struct Call {
    World& world;
    Account& account;
    const Params& params;
    const std::string& version;    // the Stripe-Version that rules
    std::vector<std::string> ids;  // what stood for {…} in the path
    LedgerNote note;
    bool by_payer = false;  // from a browser: it must give the client_secret, and sees less

    // Versions begin with their date, so they compare as text.
    [[nodiscard]] bool at_least(std::string_view date) const {
        return std::string_view(version).substr(0, 10) >= date;
    }
};

// Renders the answer with what `expand` asks for.
std::string answer(Call& call, Json object);

using CallHandler = std::string (*)(Call& call);

}  // namespace stripe_simulator
