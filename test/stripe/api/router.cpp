#include "api/router.hpp"

namespace stripe_simulator {

namespace {

// Without the empty parts.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const std::size_t end = text.find(separator);
        if (end != 0) {
            parts.push_back(text.substr(0, end));
        }
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return parts;
}

}  // namespace

Router::Router() {
    add_account_operations(*this);
    add_customer_operations(*this);
    add_price_operations(*this);
    add_payment_method_operations(*this);
    add_subscription_operations(*this);
    add_subscription_item_operations(*this);
    add_invoice_operations(*this);
    add_payment_intent_operations(*this);
    add_refund_operations(*this);
    add_dispute_operations(*this);
    add_event_operations(*this);
}

Operation& Router::add(std::string_view method, std::string_view pattern, CallHandler handler,
                       std::string_view parameters) {
    Operation operation;
    operation.method = method;
    operation.pattern = pattern;
    operation.name = operation.method + " " + operation.pattern;
    for (const std::string_view segment : split(pattern, '/')) {
        operation.segments.emplace_back(segment);
    }
    for (const std::string_view parameter : split(parameters, ' ')) {
        operation.parameters.emplace_back(parameter);
    }
    operation.parameters.emplace_back("expand[]");
    operation.handler = handler;
    operation.changes = method != "GET";
    auto& list = by_resource_[operation.segments.size() > 1 ? operation.segments[1] : ""];
    list.push_back(std::move(operation));
    return list.back();
}

const Operation* Router::find(std::string_view method, std::string_view path,
                              std::vector<std::string>& ids) const {
    // A trailing slash, or two in a row, is another path, and Stripe has nothing there.
    if (path.empty() || path.back() == '/' || path.find("//") != std::string_view::npos) {
        return nullptr;
    }
    const auto segments = split(path, '/');
    // (/v1/customers/search is no customer of that id. Searching itself is not simulated.)
    if (segments.size() < 2 || (segments.size() == 3 && segments[2] == "search")) {
        return nullptr;
    }
    const auto list = by_resource_.find(std::string(segments[1]));
    if (list == by_resource_.end()) {
        return nullptr;
    }
    for (const Operation& operation : list->second) {
        if (operation.method != method || operation.segments.size() != segments.size()) {
            continue;
        }
        ids.clear();
        bool matches = true;
        for (std::size_t i = 0; matches && i < segments.size(); ++i) {
            if (operation.segments[i].front() == '{') {
                ids.push_back(percent_decode(segments[i], false));
            } else {
                matches = operation.segments[i] == segments[i];
            }
        }
        if (matches) {
            return &operation;
        }
    }
    ids.clear();
    return nullptr;
}

}  // namespace stripe_simulator
