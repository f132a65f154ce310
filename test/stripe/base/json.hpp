// A thin owner for jansson's reference-counted values, and short readers for them.
#pragma once

#include <jansson.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stripe_simulator {

class Json {
  public:
    Json() = default;
    explicit Json(json_t* owned) noexcept : node_(owned) {}
    Json(const Json& other) noexcept : node_(json_incref(other.node_)) {}
    Json(Json&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    Json& operator=(Json other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~Json() { json_decref(node_); }

    static Json object() { return Json(json_object()); }
    static Json array() { return Json(json_array()); }
    static Json null() { return Json(json_null()); }
    // A null Json (node() == nullptr) when the text is not JSON.
    static Json parse(std::string_view text) {
        return Json(json_loadb(text.data(), text.size(), JSON_ALLOW_NUL, nullptr));
    }
    static Json share(json_t* borrowed) { return Json(json_incref(borrowed)); }

    template <typename T>
    static Json of(const T& value) {
        using Plain = std::decay_t<T>;
        if constexpr (std::is_same_v<Plain, Json>) {
            return value.node_ != nullptr ? value : null();
        } else if constexpr (std::is_same_v<Plain, std::nullptr_t>) {
            return null();
        } else if constexpr (std::is_same_v<Plain, bool>) {
            return Json(json_boolean(value));
        } else if constexpr (std::is_integral_v<Plain>) {
            return Json(json_integer(static_cast<json_int_t>(value)));
        } else if constexpr (std::is_floating_point_v<Plain>) {
            return Json(json_real(value));
        } else {
            const std::string_view text(value);
            return Json(json_stringn_nocheck(text.data(), text.size()));
        }
    }
    template <typename T>
    static Json of(const std::optional<T>& value) {
        return value ? of(*value) : null();
    }

    template <typename T>
    Json& set(const char* key, const T& value) {
        json_object_set_new_nocheck(node_, key, of(value).release());
        return *this;
    }
    // Stripe writes an absent text as null, never as "".
    Json& set_or_null(const char* key, std::string_view text) {
        return text.empty() ? set(key, nullptr) : set(key, text);
    }
    template <typename T>
    Json& push(const T& value) {
        json_array_append_new(node_, of(value).release());
        return *this;
    }

    [[nodiscard]] json_t* node() const { return node_; }
    json_t* release() { return std::exchange(node_, nullptr); }
    explicit operator bool() const { return node_ != nullptr; }
    [[nodiscard]] std::string dump(std::size_t indent = 0) const;

  private:
    json_t* node_ = nullptr;
};

// Readers that answer a default for what is absent or of another type.
std::string_view text_at(const json_t* object, const char* key, std::string_view otherwise = {});
std::int64_t integer_at(const json_t* object, const char* key, std::int64_t otherwise = 0);
double number_at(const json_t* object, const char* key, double otherwise = 0);
bool flag_at(const json_t* object, const char* key, bool otherwise = false);
bool has(const json_t* object, const char* key);

// What `before` held where `after` differs: Stripe's previous_attributes. Objects are compared
// key by key, arrays appear whole.
Json difference(const json_t* before, const json_t* after);

// Compact JSON text as Stripe writes it: two spaces a level, a line for each member. Text that is
// not JSON comes out changed, but never fails.
std::string indented(std::string_view compact);

// Appends text as a JSON string with its quotes; for the hot path, which builds JSON by hand.
void append_json_string(std::string& out, std::string_view text);

}  // namespace stripe_simulator
