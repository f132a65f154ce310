// The operations that the simulator knows: method, path, parameters, handler.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/call.hpp"

namespace stripe_simulator {

struct Operation {
    std::string method;
    std::string pattern;  // "/v1/subscriptions/{id}"
    std::string name;     // "POST /v1/subscriptions/{id}"
    std::vector<std::string> segments;
    std::vector<std::string> parameters;
    CallHandler handler = nullptr;
    bool changes = false;     // written to the ledger
    bool for_payers = false;  // a publishable key will do
};

class Router {
  public:
    Router();

    // `parameters`: names separated by blanks, as api/form.hpp describes; `expand[]` is always
    // allowed. An operation by POST or DELETE changes something unless its pattern is said not to.
    Operation& add(std::string_view method, std::string_view pattern, CallHandler handler,
                   std::string_view parameters);
    [[nodiscard]] const Operation* find(std::string_view method, std::string_view path,
                                        std::vector<std::string>& ids) const;

  private:
    std::unordered_map<std::string, std::vector<Operation>> by_resource_;
};

// Each resource adds its own.
void add_account_operations(Router& router);
void add_customer_operations(Router& router);
void add_price_operations(Router& router);
void add_payment_method_operations(Router& router);
void add_subscription_operations(Router& router);
void add_subscription_item_operations(Router& router);
void add_invoice_operations(Router& router);
void add_payment_intent_operations(Router& router);
void add_refund_operations(Router& router);
void add_dispute_operations(Router& router);
void add_event_operations(Router& router);

}  // namespace stripe_simulator
