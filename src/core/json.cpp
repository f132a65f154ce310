#include "core/json.hpp"

#include <string.h>  // explicit_bzero

#include <algorithm>
#include <bit>
#include <memory>
#include <new>
#include <utility>

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include "core/parsed_body.hpp"
#include "core/wiped_text.hpp"

namespace pg_seats::core {

namespace dom = simdjson::dom;

// The two words are an element of simdjson's: a document and a place in it.
struct JsonDoor {
    static dom::element element_of(JsonValue value) noexcept {
        return std::bit_cast<dom::element>(value.words_);
    }
    static JsonValue value_of(dom::element element) noexcept {
        JsonValue value;
        value.words_ = std::bit_cast<JsonValue::Words>(element);
        return value;
    }
};

struct JsonDocument {
    dom::document content;
    std::size_t length = 0;  // of the text
    JsonValue root;
};

namespace {

using Document = std::unique_ptr<JsonDocument, WipesDocument>;

// A document takes some ten times its text. Made for each answer, it would be mapped and unmapped
// each time; so one is kept, unless it has become large.
constexpr std::size_t longest_kept = 65'536;

struct Reader {
    dom::parser parser;
    std::unique_ptr<JsonDocument> spare;
};

// For as long as the process lives: it is never destroyed.
Reader& reader() {
    static Reader& kept = *std::make_unique<Reader>().release();
    return kept;
}

Document take_document() {
    Reader& kept = reader();
    return Document(kept.spare != nullptr ? kept.spare.release()
                                          : std::make_unique<JsonDocument>().release());
}

// (What simdjson has written, in steps of up to a padding, for a text of that length; and never
// more than it has asked for, where it has refused the text.)
void wipe(JsonDocument& document) noexcept {
    if (document.content.string_buf != nullptr) {
        explicit_bzero(document.content.string_buf.get(),
                       5 * std::min(document.length, document.content.capacity()) / 3 +
                           simdjson::SIMDJSON_PADDING);
    }
    document.length = 0;
    document.root = {};
}

template <typename Wanted>
std::optional<Wanted> get(JsonValue value) noexcept {
    Wanted wanted{};
    if (!value || JsonDoor::element_of(value).get(wanted) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    return wanted;
}

}  // namespace

void WipesDocument::operator()(JsonDocument* document) const noexcept {
    std::unique_ptr<JsonDocument> owned(document);
    wipe(*owned);
    Reader& kept = reader();
    if (kept.spare == nullptr && owned->content.capacity() <= longest_kept) {
        kept.spare = std::move(owned);
    }
}

ParsedBody::ParsedBody(std::string_view text) {
    // (Later versions of simdjson pass over the mark.)
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.empty() || text.starts_with(byte_order_mark)) {
        return;
    }
    // simdjson reads behind the end, and never what it reads there.
    WipedText padded;
    padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    padded.append(text).append(simdjson::SIMDJSON_PADDING, ' ');

    Document document = take_document();
    dom::parser& parser = reader().parser;
    dom::element root;
    document->length = text.size();
    const simdjson::error_code error =
        parser.parse_into_document(document->content, padded.data(), text.size(), false).get(root);
    // (One that got half of its memory would take each object for too deep, for ever.)
    if (error == simdjson::MEMALLOC || parser.capacity() > longest_kept) {
        parser = dom::parser();
    }
    if (error == simdjson::MEMALLOC) {
        throw std::bad_alloc();
    }
    if (error == simdjson::SUCCESS) {
        document->root = JsonDoor::value_of(root);
        document_ = std::move(document);
    }
}

JsonValue ParsedBody::root() const noexcept {
    return document_ != nullptr ? document_->root : JsonValue();
}

JsonKind kind_of(JsonValue value) noexcept {
    if (!value) {
        return JsonKind::missing;
    }
    switch (JsonDoor::element_of(value).type()) {
        case dom::element_type::OBJECT:
            return JsonKind::object;
        case dom::element_type::ARRAY:
            return JsonKind::array;
        case dom::element_type::STRING:
            return JsonKind::text;
        case dom::element_type::INT64:
            return JsonKind::integer;
        case dom::element_type::BOOL:
            return JsonKind::boolean;
        case dom::element_type::NULL_VALUE:
            return JsonKind::null;
        case dom::element_type::UINT64:  // beyond what we count in
        case dom::element_type::DOUBLE:
            break;
    }
    return JsonKind::other_number;
}

JsonValue member(JsonValue object, std::string_view name) noexcept {
    JsonValue found;
    if (const auto members = get<dom::object>(object)) {
        const auto end = members->end();
        for (auto at = members->begin(); at != end; ++at) {
            if (at.key_equals(name)) {
                found = JsonDoor::value_of(at.value());
            }
        }
    }
    return found;
}

std::string_view text_of(JsonValue value) noexcept {
    return get<std::string_view>(value).value_or(std::string_view());
}

std::optional<std::int64_t> integer_of(JsonValue value) noexcept {
    return kind_of(value) == JsonKind::integer ? get<std::int64_t>(value) : std::nullopt;
}

double number_of(JsonValue value) noexcept {
    return get<double>(value).value_or(0);
}

std::optional<bool> boolean_of(JsonValue value) noexcept {
    return get<bool>(value);
}

std::vector<JsonValue> elements_of(JsonValue array, std::size_t most) {
    std::vector<JsonValue> elements;
    if (const auto values = get<dom::array>(array)) {
        elements.reserve(std::min(values->size(), most));
        for (const dom::element element : *values) {
            if (elements.size() == most) {
                break;
            }
            elements.push_back(JsonDoor::value_of(element));
        }
    }
    return elements;
}

std::vector<JsonMember> members_of(JsonValue object) {
    std::vector<JsonMember> members;
    if (const auto values = get<dom::object>(object)) {
        members.reserve(values->size());
        for (const dom::key_value_pair& inner : *values) {
            members.push_back({inner.key, JsonDoor::value_of(inner.value)});
        }
    }
    return members;
}

}  // namespace pg_seats::core
