// Finding and making objects on behalf of the control endpoint.
#pragma once

#include <string>
#include <utility>

#include "api/error.hpp"
#include "billing/world.hpp"

namespace stripe_simulator {

// The object wherever it is: control does not need to know the account.
template <typename T>
std::pair<Account*, T*> find_anywhere(World& world, Store<T> Account::*store,
                                      const std::string& id) {
    for (const auto& [scope, account] : world.accounts()) {
        if (T* found = ((*account).*store).find(id)) {
            return {account.get(), found};
        }
    }
    ApiError error = invalid_request("No such object: '" + id + "'");
    error.status = 404;
    throw error;
}

// The price that {"price","unit_amount","interval"} names, made when there is none.
Price& price_of(World& world, Account& account, const json_t* given, const std::string& currency);

}  // namespace stripe_simulator
