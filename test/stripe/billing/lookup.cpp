#include "billing/lookup.hpp"

#include <algorithm>

namespace stripe_simulator {

Page read_page(const Params& params) {
    Page page;
    const std::int64_t limit = params.integer("limit").value_or(10);
    if (limit < 1 || limit > 100) {
        throw invalid_request(
            limit < 1 ? "This value must be greater than or equal to 1."
                      : "This value must be less than or equal to 100 (it currently is '" +
                            std::to_string(limit) + "').",
            "limit", "parameter_invalid_integer");
    }
    page.limit = static_cast<std::size_t>(limit);
    page.starting_after = params.text("starting_after");
    page.ending_before = params.text("ending_before");
    if (!page.starting_after.empty() && !page.ending_before.empty()) {
        throw invalid_request(
            "You may only specify one of these parameters: starting_after, ending_before.",
            "starting_after", "parameters_exclusive");
    }
    if (const auto exact = params.integer("created")) {
        page.created_from = *exact;
        page.created_to = *exact + 1;
    }
    if (const auto value = params.integer("created[gte]")) {
        page.created_from = *value;
    }
    if (const auto value = params.integer("created[gt]")) {
        page.created_from = *value + 1;
    }
    if (const auto value = params.integer("created[lt]")) {
        page.created_to = *value;
    }
    if (const auto value = params.integer("created[lte]")) {
        page.created_to = *value + 1;
    }
    return page;
}

Json make_list(std::string_view url, Json data, bool has_more) {
    return Json::object()
        .set("object", "list")
        .set("data", data)
        .set("has_more", has_more)
        .set("url", url);
}

void put_metadata(Metadata& metadata, std::string_view key, std::string_view value) {
    const auto place =
        std::lower_bound(metadata.begin(), metadata.end(), key,
                         [](const auto& entry, std::string_view k) { return entry.first < k; });
    const bool there = place != metadata.end() && place->first == key;
    if (value.empty()) {
        if (there) {
            metadata.erase(place);
        }
    } else if (there) {
        place->second = value;
    } else {
        metadata.emplace(place, key, value);
    }
}

bool merge_metadata(Metadata& metadata, const Params& params, std::string_view name) {
    bool changed = false;
    if (params.has(name)) {
        if (!params.text(name).empty()) {
            throw invalid_request("Invalid object", std::string(name));
        }
        changed = !metadata.empty();
        metadata.clear();
    }
    if (!params.has_below(name)) {
        return changed;
    }
    const Metadata before = metadata;
    for (const auto& [key, value] : params.map_below(name)) {
        const std::string param = std::string(name) + "[" + key + "]";
        if (key.empty() || key.size() > 40) {
            throw invalid_request("Metadata keys must be between 1 and 40 characters long. '" +
                                      key + "' is " + std::to_string(key.size()) +
                                      " characters long.",
                                  param);
        }
        if (value.size() > 500) {
            throw invalid_request(
                "Metadata values can have up to 500 characters, but you passed "
                "in a value that is " +
                    std::to_string(value.size()) + " characters. Invalid value: " + value,
                param);
        }
        put_metadata(metadata, key, value);
    }
    if (metadata.size() > 50) {
        throw invalid_request("Metadata can have up to 50 keys, but you passed in " +
                                  std::to_string(metadata.size()) + ".",
                              std::string(name));
    }
    return changed || metadata != before;
}

Json render_metadata(const Metadata& metadata) {
    Json out = Json::object();
    for (const auto& [key, value] : metadata) {
        out.set(key.c_str(), value);
    }
    return out;
}

}  // namespace stripe_simulator
