#include "core/call_rules.hpp"

#include <algorithm>
#include <array>

#include "core/form.hpp"

namespace pg_seats::core {
namespace {

constexpr std::string_view version_prefix = "/v1/";

// Stripe's collections that stand below a name of their product: /v1/checkout/sessions is one,
// /v1/checkout alone is nothing.
constexpr std::array<std::string_view, 19> products{"apps",
                                                    "billing",
                                                    "billing_portal",
                                                    "checkout",
                                                    "climate",
                                                    "entitlements",
                                                    "financial_connections",
                                                    "forwarding",
                                                    "identity",
                                                    "issuing",
                                                    "payment_attempt_records",
                                                    "radar",
                                                    "reporting",
                                                    "sigma",
                                                    "tax",
                                                    "terminal",
                                                    "test_helpers",
                                                    "treasury",
                                                    "gift_cards"};

// How many bytes of the path are its first `count` segments after /v1; npos if it has fewer.
std::size_t end_of_segments(std::string_view path, int count) {
    std::size_t end = version_prefix.size() - 1;
    for (int i = 0; i < count; ++i) {
        if (end >= path.size()) {
            return std::string_view::npos;
        }
        end = std::min(path.find('/', end + 1), path.size());
    }
    return end;
}

// One segment, or two where the first is a product's name.
int collection_segments(std::string_view path) {
    const std::size_t end = end_of_segments(path, 1);
    if (end == std::string_view::npos) {
        return 1;
    }
    const std::string_view first = path.substr(version_prefix.size(), end - version_prefix.size());
    return std::ranges::find(products, first) != products.end() ? 2 : 1;
}

[[noreturn]] void broken(CallRule rule, std::string message, std::string detail = {},
                         std::string hint = {}) {
    throw BrokenRule{rule, std::move(message), std::move(detail), std::move(hint)};
}

void check_method(std::string_view method) {
    if (method != "GET" && method != "POST" && method != "DELETE") {
        broken(CallRule::method, "the method must be GET, POST or DELETE", {},
               "Write it in upper case.");
    }
}

void check_call_path(std::string_view path) {
    try {
        core::check_path(path);
    } catch (const core::InvalidInput& invalid) {
        broken(CallRule::path, invalid.message, {}, invalid.hint);
    }
    // What lies below /v2 wants JSON and other headers. Sent as a form it would be refused for its
    // form, and that halts the destination for everybody.
    if (!path.starts_with(version_prefix) || path.size() == version_prefix.size()) {
        broken(CallRule::path, "the path must begin with /v1/",
               "Only the form-encoded part of Stripe's API can be called.",
               "For example /v1/customers or /v1/subscriptions/sub_123.");
    }
}

std::string encoded(std::string_view parameters) {
    std::string body;
    try {
        body = core::encode_form(parameters);
    } catch (const core::InvalidInput& invalid) {
        broken(CallRule::parameters, invalid.message, {}, invalid.hint);
    }
    // The marker is what proves later who executed what: nobody else may write it, at no depth.
    if (body.find("[pg_seats]") != std::string::npos) {
        broken(CallRule::parameters, "the metadata key \"pg_seats\" belongs to pg_seats",
               "It is the marker by which a read proves that a call was executed.",
               "Choose another key.");
    }
    if (body.size() > largest_body) {
        broken(CallRule::size, "the parameters are longer than 1 MB",
               "Encoded they have " + std::to_string(body.size()) + " bytes.");
    }
    return body;
}

bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\n\v\f\r") == std::string_view::npos;
}

// Lanes that begin with a slash belong to the objects with these paths, and what stands in them
// waits for one another: nobody else's calls are put there.
void check_lane(std::string_view lane, std::string_view path) {
    if (is_blank(lane)) {
        broken(CallRule::lane, "the lane's name is blank", {},
               "Use NULL for a call without an order.");
    }
    if (lane.size() > longest_lane) {
        broken(CallRule::lane, "the lane's name is longer than 255 bytes",
               "It has " + std::to_string(lane.size()) + " bytes.");
    }
    if (lane.starts_with('/') && lane != object_path(path)) {
        broken(CallRule::lane, "the lane belongs to another object than the call",
               "A lane whose name begins with \"/\" is that of the object with this path.",
               "Leave the argument lane out, or choose a name that does not begin with \"/\".");
    }
}

// Metadata that is no object takes away all keys that the object has, the marker too.
void check_metadata(const WantedCall& wanted, std::string_view body) {
    if (wanted.method == "POST" && form_value(body, "metadata") &&
        (wanted.verifier || !object_path(wanted.path).empty())) {
        broken(CallRule::parameters, "metadata must be an object",
               "As text or null it removes all keys, and with them the marker by which a read "
               "proves that a call was executed.",
               "Unset single keys: {\"metadata\": {\"key\": \"\"}}.");
    }
}

// What of a subscription the call changes, whatever lane its caller wants.
void find_subscription(const WantedCall& wanted, CheckedCall& checked) {
    constexpr std::string_view subscriptions = "/v1/subscriptions/";
    constexpr std::string_view items = "/v1/subscription_items";
    if (wanted.method == "GET") {
        return;
    }
    if (wanted.path.starts_with(subscriptions)) {
        checked.subscription = object_path(wanted.path);
    } else if (wanted.path == items) {
        if (const auto id = form_value(checked.body, "subscription")) {
            checked.subscription = std::string(subscriptions) + std::string(*id);
        }
    } else if (wanted.path.starts_with(items) && !object_path(wanted.path).empty()) {
        checked.item = object_path(wanted.path).substr(items.size() + 1);
    }
}

// A verifier must be able to do what it promises: 'object' reads the object that the path names,
// 'list' searches the list into which the call creates.
void check_verifier(const WantedCall& wanted) {
    const std::string_view verifier = *wanted.verifier;
    if (verifier != "object" && verifier != "list") {
        broken(CallRule::verifier, "the verifier must be NULL, 'object' or 'list'");
    }
    if (wanted.method != "POST") {
        broken(CallRule::verifier, "only a POST can have a verifier",
               "A read needs none, and after a DELETE there is nothing that could carry a marker.");
    }
    if (verifier == "object" && object_path(wanted.path).empty()) {
        broken(
            CallRule::verifier, "verifier 'object' needs a path that names an object",
            "The object is read to see whether it carries the call's marker.",
            "For example /v1/subscriptions/sub_123. For a call that creates an object use 'list'.");
    }
    if (verifier == "list" && !is_collection_path(wanted.path)) {
        broken(CallRule::verifier, "verifier 'list' needs a path that creates an object",
               "The list at the same path is searched for an object with the call's marker.",
               "For example /v1/customers. For a call that changes an object use 'object'.");
    }
}

}  // namespace

std::optional<std::string_view> form_value(std::string_view body, std::string_view name) {
    while (!body.empty()) {
        const std::string_view pair = body.substr(0, body.find('&'));
        if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
            return pair.substr(name.size() + 1);
        }
        body.remove_prefix(std::min(pair.size() + 1, body.size()));
    }
    return std::nullopt;
}

std::string_view object_path(std::string_view path) {
    if (!path.starts_with(version_prefix)) {
        return {};
    }
    const std::size_t end = end_of_segments(path, collection_segments(path) + 1);
    return end == std::string_view::npos ? std::string_view{} : path.substr(0, end);
}

bool is_collection_path(std::string_view path) {
    return path.starts_with(version_prefix) && path.size() > version_prefix.size() &&
           end_of_segments(path, collection_segments(path)) == path.size();
}

CheckedCall check_call(const WantedCall& wanted) {
    check_method(wanted.method);
    check_call_path(wanted.path);
    CheckedCall checked;
    checked.body = encoded(wanted.parameters);
    check_metadata(wanted, checked.body);
    find_subscription(wanted, checked);
    if (wanted.lane) {
        check_lane(*wanted.lane, wanted.path);
        checked.lane = *wanted.lane;
    }
    if (wanted.verifier) {
        check_verifier(wanted);
        // The object's calls must come one after the other, or one would write its marker over
        // that of another before it was seen.
        if (*wanted.verifier == "object" && !wanted.lane) {
            checked.lane = object_path(wanted.path);
            check_lane(checked.lane, wanted.path);
        }
    }
    return checked;
}

}  // namespace pg_seats::core
