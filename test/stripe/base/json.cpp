#include "base/json.hpp"

#include <cstdlib>
#include <memory>

namespace stripe_simulator {

std::string Json::dump(std::size_t indent) const {
    std::string out;
    const auto append = [](const char* data, std::size_t size, void* target) {
        static_cast<std::string*>(target)->append(data, size);
        return 0;
    };
    json_dump_callback(node_, append, &out,
                       (indent == 0 ? JSON_COMPACT : JSON_INDENT(indent)) | JSON_ENCODE_ANY);
    return out;
}

std::string_view text_at(const json_t* object, const char* key, std::string_view otherwise) {
    const json_t* value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return otherwise;
    }
    return {json_string_value(value), json_string_length(value)};
}

std::int64_t integer_at(const json_t* object, const char* key, std::int64_t otherwise) {
    const json_t* value = json_object_get(object, key);
    if (json_is_real(value)) {
        return static_cast<std::int64_t>(json_real_value(value));
    }
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

double number_at(const json_t* object, const char* key, double otherwise) {
    const json_t* value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool flag_at(const json_t* object, const char* key, bool otherwise) {
    const json_t* value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

bool has(const json_t* object, const char* key) {
    const json_t* value = json_object_get(object, key);
    return value != nullptr && !json_is_null(value);
}

Json difference(const json_t* before, const json_t* after) {
    Json changed = Json::object();
    const char* key = nullptr;
    json_t* old_value = nullptr;
    json_object_foreach(const_cast<json_t*>(before), key, old_value) {
        const json_t* new_value = json_object_get(after, key);
        if (json_equal(old_value, new_value)) {
            continue;
        }
        if (json_is_object(old_value) && json_is_object(new_value)) {
            changed.set(key, difference(old_value, new_value));
        } else {
            changed.set(key, Json::share(old_value));
        }
    }
    json_t* new_value = nullptr;
    json_object_foreach(const_cast<json_t*>(after), key, new_value) {
        if (json_object_get(before, key) == nullptr) {
            changed.set(key, nullptr);
        }
    }
    return changed;
}

void append_json_string(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte < 0x20) {
            out.append("\\u00");
            out.push_back(kHex[byte >> 4]);
            out.push_back(kHex[byte & 15]);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

std::string indented(std::string_view compact) {
    std::string out;
    out.reserve(compact.size() * 2);
    std::size_t level = 0;
    bool in_string = false;
    const auto new_line = [&] {
        out.push_back('\n');
        out.append(level * 2, ' ');
    };
    for (std::size_t i = 0; i < compact.size(); ++i) {
        const char c = compact[i];
        if (in_string) {
            out.push_back(c);
            if (c == '\\' && i + 1 < compact.size()) {
                out.push_back(compact[++i]);
            } else if (c == '"') {
                in_string = false;
            }
            continue;
        }
        const bool closes_next =
            i + 1 < compact.size() && (compact[i + 1] == '}' || compact[i + 1] == ']');
        switch (c) {
            case '{':
            case '[':
                out.push_back(c);
                if (closes_next) {
                    out.push_back(compact[++i]);
                } else {
                    ++level;
                    new_line();
                }
                break;
            case '}':
            case ']':
                level -= level > 0 ? 1 : 0;
                new_line();
                out.push_back(c);
                break;
            case ',':
                out.push_back(c);
                new_line();
                break;
            case ':':
                out.append(": ");
                break;
            default:
                in_string = c == '"';
                out.push_back(c);
        }
    }
    return out;
}

}  // namespace stripe_simulator
