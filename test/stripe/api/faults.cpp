#include "api/faults.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "api/error.hpp"

namespace stripe_simulator {

namespace {

constexpr std::array<std::pair<std::string_view, FaultKind>, 30> kNames{{
    {"hang", FaultKind::kHang},
    {"hang_before", FaultKind::kHang},
    {"hang_after", FaultKind::kHangAfter},
    {"delay", FaultKind::kDelay},
    {"execute_and_drop", FaultKind::kExecuteAndDrop},
    {"execute_later", FaultKind::kExecuteLater},
    {"execute_and_500", FaultKind::kExecuteAnd500},
    {"error_500", FaultKind::kError500},
    {"error_424", FaultKind::kError424},
    {"conflict_409", FaultKind::kConflict409},
    {"rate_limit_429", FaultKind::kRateLimit429},
    {"lock_timeout", FaultKind::kLockTimeout},
    {"unauthorized_401", FaultKind::kUnauthorized401},
    {"forbidden_403", FaultKind::kForbidden403},
    {"unknown_parameter", FaultKind::kUnknownParameter},
    {"should_retry_true", FaultKind::kShouldRetryTrue},
    {"declined_402", FaultKind::kDeclined402},
    {"redirect", FaultKind::kRedirect},
    {"html_200", FaultKind::kHtml200},
    {"html_502", FaultKind::kHtml502},
    {"answer", FaultKind::kAnswer},
    {"close_before", FaultKind::kCloseBefore},
    {"refuse", FaultKind::kCloseBefore},
    {"cut_head", FaultKind::kCutHead},
    {"cut_body", FaultKind::kCutBody},
    {"short_content_length", FaultKind::kShortContentLength},
    {"slow_body", FaultKind::kSlowBody},
    {"garbage", FaultKind::kGarbage},
    {"lose_answer", FaultKind::kExecuteAndDrop},
    {"lock_timeout_429", FaultKind::kLockTimeout},
}};

ApiError bad_rule(const std::string& message) {
    return invalid_request("Bad fault rule: " + message, "fault");
}

}  // namespace

std::shared_ptr<FaultRule> Faults::add(const Json& rule) {
    if (!json_is_object(rule.node())) {
        throw bad_rule("it must be a JSON object");
    }
    const std::string_view name = text_at(rule.node(), "fault");
    const auto kind = std::find_if(kNames.begin(), kNames.end(),
                                   [&](const auto& entry) { return entry.first == name; });
    if (kind == kNames.end()) {
        throw bad_rule("unknown fault '" + std::string(name) + "'");
    }
    static constexpr std::array<std::string_view, 8> kMatches{"method", "path",    "query", "key",
                                                              "nth",    "account", "body",  "skip"};
    auto made = std::make_shared<FaultRule>();
    const json_t* match = json_object_get(rule.node(), "match");
    const char* given = nullptr;
    json_t* value = nullptr;
    json_object_foreach(const_cast<json_t*>(match), given, value) {
        // A misspelt condition would match everything: a test that tests nothing.
        if (std::find(kMatches.begin(), kMatches.end(), given) == kMatches.end()) {
            throw bad_rule("unknown condition 'match." + std::string(given) + "'");
        }
    }
    made->id = "fault_" + std::to_string(++count_);
    made->kind = kind->second;
    made->name = name;
    if (made->kind == FaultKind::kHang && text_at(rule.node(), "when") == "after") {
        made->kind = FaultKind::kHangAfter;
    }
    made->method = text_at(match, "method", "*");
    made->path = text_at(match, "path", "*");
    made->query = text_at(match, "query", "*");
    made->key = text_at(match, "key", "*");
    made->account = text_at(match, "account", "*");
    made->body = text_at(match, "body", "*");
    made->skip = integer_at(match, "skip");
    const json_t* nth = json_object_get(match, "nth");
    if (json_is_integer(nth)) {
        made->nth.push_back(json_integer_value(nth));
    }
    std::size_t index = 0;
    json_array_foreach(const_cast<json_t*>(nth), index, value) {
        made->nth.push_back(json_integer_value(value));
    }
    const std::int64_t all = made->nth.empty() ? 1 : static_cast<std::int64_t>(made->nth.size());
    made->times = integer_at(rule.node(), "times", all);
    made->probability = number_at(rule.node(), "probability", 1);
    made->chance = Chance(seed_ + static_cast<std::uint64_t>(integer_at(
                                      rule.node(), "seed", static_cast<std::int64_t>(count_))));
    made->options = rule;
    rules_.push_back(made);
    return made;
}

bool Faults::remove(std::string_view id) {
    return std::erase_if(rules_, [&](const auto& rule) { return rule->id == id; }) > 0;
}

std::shared_ptr<FaultRule> Faults::pick(const FaultTarget& target) {
    for (const auto& rule : rules_) {
        if (rule->times >= 0 && rule->applied >= rule->times) {
            continue;
        }
        if (!glob_match(rule->method, target.method) || !glob_match(rule->path, target.path) ||
            !glob_match(rule->query, target.query) || !glob_match(rule->key, target.key) ||
            !glob_match(rule->account, target.account) || !glob_match(rule->body, target.body)) {
            continue;
        }
        ++rule->matched;
        const bool chosen = rule->matched > rule->skip &&
                            (rule->nth.empty() || std::find(rule->nth.begin(), rule->nth.end(),
                                                            rule->matched) != rule->nth.end());
        if (chosen && (rule->probability >= 1 || rule->chance.happens(rule->probability))) {
            ++rule->applied;
            return rule;
        }
    }
    return nullptr;
}

Json Faults::report() const {
    Json list = Json::array();
    for (const auto& rule : rules_) {
        list.push(report_one(rule->id));
    }
    return Json::object().set("faults", list);
}

Json Faults::report_one(std::string_view id) const {
    for (const auto& rule : rules_) {
        if (rule->id == id) {
            Json out = Json::object();
            out.set("id", rule->id).set("fault", rule->name).set("matched", rule->matched);
            out.set("applied", rule->applied).set("times", rule->times);
            return out.set("rule", rule->options);
        }
    }
    return {};
}

}  // namespace stripe_simulator
