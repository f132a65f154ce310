// application/x-www-form-urlencoded as Stripe reads it: items[0][id]=si_1, expand[]=customer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace stripe_simulator {

class Params {
  public:
    using Field = std::pair<std::string, std::string>;

    // Throws ApiError when there are too many fields or a value is not UTF-8.
    static Params decode(std::string_view form);

    [[nodiscard]] const std::vector<Field>& fields() const { return fields_; }
    [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
    // Any field below `name`, such as metadata[team] below metadata.
    [[nodiscard]] bool has_below(std::string_view name) const;
    [[nodiscard]] std::string_view text(std::string_view name) const;
    [[nodiscard]] std::string_view required(std::string_view name) const;
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const;
    [[nodiscard]] bool flag(std::string_view name, bool otherwise = false) const;
    [[nodiscard]] std::string choice(std::string_view name,
                                     std::initializer_list<std::string_view> allowed,
                                     std::string_view otherwise) const;
    // "items" -> {"items[0]", "items[1]"} in numeric order.
    [[nodiscard]] std::vector<std::string> elements(std::string_view name) const;
    // metadata -> {team: a, gone: ""}
    [[nodiscard]] std::vector<Field> map_below(std::string_view name) const;
    [[nodiscard]] std::vector<std::string_view> list(std::string_view name) const;
    [[nodiscard]] Hash128 hash() const;

  private:
    [[nodiscard]] const std::string* find(std::string_view name) const;

    std::vector<Field> fields_;
};

std::string percent_decode(std::string_view text, bool plus_is_space);

// Whether a field is allowed by a list such as {"items[][price]", "metadata[*]", "expand[]"};
// indices count as [].
bool is_known_parameter(std::string_view field, const std::vector<std::string>& known);

}  // namespace stripe_simulator
