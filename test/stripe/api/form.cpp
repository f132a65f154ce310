#include "api/form.hpp"

#include <algorithm>

#include "api/error.hpp"

namespace stripe_simulator {

namespace {

constexpr std::size_t kMaxFields = 2000;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool is_number(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// expand[]=a&expand[]=b is expand[0]=a&expand[1]=b.
void number_empty_brackets(std::vector<Params::Field>& fields) {
    std::vector<std::pair<std::string, int>> counts;
    for (auto& [name, value] : fields) {
        const std::size_t at = name.find("[]");
        if (at == std::string::npos) {
            continue;
        }
        const std::string prefix = name.substr(0, at);
        const auto found = std::find_if(counts.begin(), counts.end(),
                                        [&](const auto& entry) { return entry.first == prefix; });
        int index = 0;
        if (found != counts.end()) {
            index = ++found->second;
        } else {
            counts.emplace_back(prefix, 0);
        }
        name.insert(at + 1, std::to_string(index));
    }
}

}  // namespace

std::string percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            out.push_back(' ');
        } else if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                   hex_digit(text[i + 2]) >= 0) {
            out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

Params Params::decode(std::string_view form) {
    Params params;
    while (!form.empty()) {
        const std::size_t end = form.find('&');
        const std::string_view pair = form.substr(0, end);
        form = end == std::string_view::npos ? std::string_view() : form.substr(end + 1);
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = pair.find('=');
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
        params.fields_.emplace_back(percent_decode(pair.substr(0, equals), true),
                                    percent_decode(value, true));
        const auto& field = params.fields_.back();
        if (params.fields_.size() > kMaxFields) {
            throw invalid_request("Too many parameters.");
        }
        if (!is_valid_utf8(field.first) || !is_valid_utf8(field.second)) {
            throw invalid_request("Invalid UTF-8 in the request's parameters.");
        }
    }
    number_empty_brackets(params.fields_);
    return params;
}

const std::string* Params::find(std::string_view name) const {
    // The last one wins, as in Rack.
    for (auto field = fields_.rbegin(); field != fields_.rend(); ++field) {
        if (field->first == name) {
            return &field->second;
        }
    }
    return nullptr;
}

bool Params::has_below(std::string_view name) const {
    return std::any_of(fields_.begin(), fields_.end(), [&](const Field& field) {
        return field.first.size() > name.size() && field.first.compare(0, name.size(), name) == 0 &&
               field.first[name.size()] == '[';
    });
}

std::string_view Params::text(std::string_view name) const {
    const std::string* value = find(name);
    return value != nullptr ? std::string_view(*value) : std::string_view();
}

std::string_view Params::required(std::string_view name) const {
    const std::string_view value = text(name);
    if (value.empty()) {
        throw missing_parameter(name);
    }
    return value;
}

std::optional<std::int64_t> Params::integer(std::string_view name) const {
    const std::string* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto number = parse_integer(*value);
    if (!number) {
        throw invalid_request("Invalid integer: " + *value, std::string(name),
                              "parameter_invalid_integer");
    }
    return number;
}

bool Params::flag(std::string_view name, bool otherwise) const {
    const std::string* value = find(name);
    if (value == nullptr) {
        return otherwise;
    }
    if (*value != "true" && *value != "false") {
        throw invalid_request("Invalid boolean: " + *value, std::string(name),
                              "parameter_invalid_boolean");
    }
    return *value == "true";
}

std::string Params::choice(std::string_view name, std::initializer_list<std::string_view> allowed,
                           std::string_view otherwise) const {
    const std::string* value = find(name);
    if (value == nullptr) {
        return std::string(otherwise);
    }
    if (std::find(allowed.begin(), allowed.end(), *value) == allowed.end()) {
        std::string message = "Invalid " + std::string(name) + ": must be one of ";
        std::size_t index = 0;
        for (const std::string_view one : allowed) {
            message.append(index == 0 ? "" : index + 1 == allowed.size() ? ", or " : ", ");
            message.append(one);
            ++index;
        }
        throw invalid_request(message, std::string(name), "parameter_invalid_enum");
    }
    return *value;
}

std::vector<std::string> Params::elements(std::string_view name) const {
    std::vector<std::int64_t> indices;
    for (const auto& [field, value] : fields_) {
        if (field.size() <= name.size() + 2 || field.compare(0, name.size(), name) != 0 ||
            field[name.size()] != '[') {
            continue;
        }
        const std::size_t end = field.find(']', name.size());
        if (end == std::string::npos) {
            continue;
        }
        const auto index =
            parse_integer(std::string_view(field).substr(name.size() + 1, end - name.size() - 1));
        if (index && std::find(indices.begin(), indices.end(), *index) == indices.end()) {
            indices.push_back(*index);
        }
    }
    std::sort(indices.begin(), indices.end());
    std::vector<std::string> out;
    out.reserve(indices.size());
    for (const std::int64_t index : indices) {
        out.push_back(std::string(name) + "[" + std::to_string(index) + "]");
    }
    return out;
}

std::vector<Params::Field> Params::map_below(std::string_view name) const {
    std::vector<Field> out;
    for (const auto& [field, value] : fields_) {
        if (field.size() > name.size() + 2 && field.compare(0, name.size(), name) == 0 &&
            field[name.size()] == '[' && field.back() == ']') {
            out.emplace_back(field.substr(name.size() + 1, field.size() - name.size() - 2), value);
        }
    }
    return out;
}

std::vector<std::string_view> Params::list(std::string_view name) const {
    std::vector<std::string_view> out;
    for (const std::string& element : elements(name)) {
        out.push_back(text(element));
    }
    return out;
}

Hash128 Params::hash() const {
    Hash128 hash;
    for (const auto& [name, value] : fields_) {
        hash.add(name, value);
    }
    return hash;
}

bool is_known_parameter(std::string_view field, const std::vector<std::string>& known) {
    std::string general;
    general.reserve(field.size());
    std::size_t at = field.find('[');
    general.append(field.substr(0, at));
    while (at != std::string_view::npos) {
        const std::size_t end = field.find(']', at);
        if (end == std::string_view::npos) {
            return false;
        }
        const std::string_view inner = field.substr(at + 1, end - at - 1);
        general.append("[").append(is_number(inner) ? std::string_view() : inner).append("]");
        at = end + 1 < field.size() ? field.find('[', end) : std::string_view::npos;
    }
    for (const std::string& pattern : known) {
        if (pattern == general) {
            return true;
        }
        // metadata[*] takes any key, numbers too, and a bare "metadata=" which empties it.
        if (pattern.size() > 3 && pattern.compare(pattern.size() - 3, 3, "[*]") == 0) {
            const std::string_view stem(pattern.data(), pattern.size() - 3);
            if (general == stem ||
                (general.size() > stem.size() + 1 && general.compare(0, stem.size(), stem) == 0 &&
                 general[stem.size()] == '[' &&
                 general.find('[', stem.size() + 1) == std::string::npos)) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace stripe_simulator
