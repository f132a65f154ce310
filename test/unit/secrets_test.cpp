#include <jansson.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "core/exchange.hpp"
#include "core/json_tree.hpp"
#include "core/secrets.hpp"
#include "http/client.hpp"

namespace pg_seats::test {
namespace {

std::string cut(std::string text) {
    const std::string before = text;
    const bool found = core::cut_secrets(text);
    EXPECT_EQ(found, text != before);
    return text;
}

std::string struck(std::string text, std::string_view secret) {
    const std::string before = text;
    const bool found = core::strike(text, secret);
    EXPECT_EQ(found, text != before);
    return text;
}

TEST(Secrets, keys_are_cut_out_of_texts) {
    EXPECT_EQ(cut("sk_live_0123456789"), "[removed]");
    EXPECT_EQ(cut("key=rk_test_0123456789abc, then"), "key=[removed], then");
    EXPECT_EQ(cut("ek_live_YWNjdF8xLDA="), "[removed]");
    EXPECT_EQ(cut("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw/+="), "[removed]");
    EXPECT_EQ(cut("my_sk_test_0123456789"), "my_[removed]");
    EXPECT_EQ(cut("sk_test_0123456789 pi_1_secret_x sk_live_9876543210"),
              "[removed] [removed] [removed]");
}

TEST(Secrets, what_only_looks_like_one_stays) {
    for (const char* text : {"task_test_0123456789", "sk_test_mode", "sk_monthly", "whsec_",
                             "team_blue_secret_santa", "pi_1_secret_", "desk_live_0123456789"}) {
        EXPECT_EQ(cut(text), text);
    }
}

TEST(Secrets, a_known_secret_is_struck_out_whatever_it_looks_like) {
    EXPECT_EQ(struck("a hunter22 b hunter22", "hunter22"), "a [removed] b [removed]");
    EXPECT_EQ(struck("/services/T0/B0/x!", "/services/T0/B0/x"), "[removed]!");
    // Too short to be found only where it is meant.
    EXPECT_EQ(struck("a cat", "a"), "a cat");
    EXPECT_EQ(struck("a cat", ""), "a cat");
}

TEST(Secrets, all_of_an_answer_is_struck) {
    http::Response response;
    response.body = R"({"error":{"message":"no such key: hunter22"}})";
    response.error = "could not send to hunter22";
    response.headers.request_id = "hunter22";
    response.headers.idempotency_key = "hunter22";
    response.headers.rate_limited_reason = "hunter22";
    response.headers.content_type = "text/hunter22";
    response.headers.location = "https://a/hunter22";
    core::strike(response, "hunter22");
    const core::ResponseHeaders& headers = response.headers;
    for (const std::string_view text : std::initializer_list<std::string_view>{
             response.body, response.error, headers.request_id, headers.idempotency_key,
             headers.rate_limited_reason, headers.content_type, headers.location}) {
        EXPECT_EQ(text.find("hunter22"), std::string::npos);
        EXPECT_NE(text.find("[removed]"), std::string::npos);
    }
}

TEST(StripSecrets, client_secrets_at_any_depth) {
    EXPECT_EQ(core::strip_secrets(
                  R"({"client_secret":"a","b":[{"client_secret":null,"c":1}],"d":{"e":{}}})"),
              R"({"b":[{"c":1}],"d":{"e":{}}})");
}

TEST(StripSecrets, behind_an_escape) {
    EXPECT_EQ(core::strip_secrets(R"({"client\u005fsecret":"pi_1_\u0073ecret_x","a":1})"),
              R"({"a":1})");
}

TEST(StripSecrets, inside_other_texts) {
    EXPECT_EQ(core::strip_secrets(
                  R"({"url":"https://a/?payment_intent_client_secret=pi_1_secret_xY9&z=1"})"),
              R"({"url":"https://a/?payment_intent_client_secret=[removed]&z=1"})");
    EXPECT_EQ(core::strip_secrets(R"({"a":["seti_9_secret_z"]})"), R"({"a":["[removed]"]})");
}

TEST(StripSecrets, leaves_other_bytes_alone) {
    for (const char* body :
         {R"({ "a" : 1.50 , "b":"\u00e9" })", "not json", "",
          R"({"team":"team_blue_secret_santa"})", R"({"confirmation_secret":null, "x":1})"}) {
        EXPECT_EQ(core::strip_secrets(body), body);
    }
}

TEST(StripSecrets, what_is_no_json_is_emptied) {
    EXPECT_EQ(core::strip_secrets(R"({"client_secret":"pi_1_sec)"), "");
    EXPECT_EQ(core::strip_secrets(R"({"client\u005fsecret":"pi_1)"), "");
}

TEST(StripSecrets, keys_in_an_answer) {
    EXPECT_EQ(core::strip_secrets(R"({"id":"we_1","secret":"whsec_0123456789abcdef"})"),
              R"({"id":"we_1","secret":"[removed]"})");
    EXPECT_EQ(core::strip_secrets(R"(["\u0073k_live_0123456789"])"), R"(["[removed]"])");
}

TEST(StripSecrets, a_name_that_comes_twice_hides_nothing) {
    EXPECT_EQ(core::strip_secrets(R"({"a":"pi_1_secret_x","a":"ok"})"), R"({"a":"ok"})");
    EXPECT_EQ(core::strip_secrets(R"({"b":{"client_secret":"pi_1_secret_x"},"b":{}})"),
              R"({"b":{}})");
    EXPECT_EQ(core::strip_secrets(R"({"client_secret":"a1","client_secret":"b1"})"), "{}");
}

TEST(StripSecrets, a_name_may_be_one) {
    EXPECT_EQ(core::strip_secrets(R"({"pi_1_secret_x":1,"b":2})"), R"({"b":2})");
    EXPECT_EQ(core::strip_secrets(R"({"a":[{"sk_live_0123456789":{"c":1}}]})"), R"({"a":[{}]})");
}

// jansson asks here for its memory.
int allocations_left = 0;

void* scarce(std::size_t size) {
    return allocations_left-- > 0 ? std::malloc(size) : nullptr;
}

// There is none for one request, and for the next one there is again.
void* short_once(std::size_t size) {
    return allocations_left-- != 0 ? std::malloc(size) : nullptr;
}

TEST(StripSecrets, without_memory_nothing_secret_is_left) {
    const std::string body =
        R"({"a":"see pi_1_secret_x","b":["pi_2_secret_x",{"c":"pi_3_secret_x"}],"d":1})";
    const std::string whole = core::strip_secrets(body);
    json_set_alloc_funcs(scarce, std::free);
    bool was_short = false;
    bool was_enough = false;
    for (int most = 0; most < 200 && !was_enough; ++most) {
        allocations_left = most;
        const std::string stripped = core::strip_secrets(body);
        EXPECT_EQ(stripped.find("_secret_x"), std::string::npos)
            << most << " allocations: " << stripped;
        was_enough = allocations_left >= 0;
        was_short = was_short || !was_enough;
        if (was_enough) {
            EXPECT_EQ(stripped, whole);
        }
    }
    json_set_alloc_funcs(short_once, std::free);
    for (int before = 0; before < 200; ++before) {
        allocations_left = before;
        const std::string stripped = core::strip_secrets(body);
        EXPECT_EQ(stripped.find("_secret_x"), std::string::npos)
            << before << " allocations: " << stripped;
    }
    json_set_alloc_funcs(std::malloc, core::overwrite_and_free);
    EXPECT_TRUE(was_short);
    EXPECT_TRUE(was_enough);
}

// Of memory that is given back nobody may look at anything: this one is kept.
struct KeptMemory {
    static inline std::array<char, 256> bytes{};
    static inline std::size_t used = 0;

    static char* allocate(std::size_t count) {
        used += count;
        return bytes.data() + used - count;
    }
    static void deallocate(char* /*memory*/, std::size_t /*count*/) {}
};

TEST(WipedText, leaves_nothing_in_memory_that_it_gives_back) {
    {
        std::basic_string<char, std::char_traits<char>, core::WipingAllocator<char, KeptMemory>>
            text("pi_1_secret_x, and so on");
        text.append(text);  // grows, out of what it was in
        EXPECT_GT(KeptMemory::used, text.size());
        EXPECT_STREQ(KeptMemory::bytes.data(), "");
    }
    EXPECT_EQ(std::ranges::count(KeptMemory::bytes, '\0'), std::ssize(KeptMemory::bytes));
}

TEST(Answer, overwrites_what_was_read_of_it) {
    core::Answer answer;
    answer.response.transport = core::Transport::complete;
    answer.response.body = R"({"client_secret":"pi_1_secret_x"})";
    answer.parse(true);
    // (The document that is kept for the next answer is the same memory.)
    const std::string_view secret = core::text_member(answer.body.root(), "client_secret");
    EXPECT_EQ(secret, "pi_1_secret_x");
    answer.forget_body();
    EXPECT_FALSE(answer.body.root());
    EXPECT_TRUE(answer.response.body.empty());
    EXPECT_EQ(std::ranges::count(secret, '\0'), std::ssize(secret));

    // Also of what was no JSON at its end.
    EXPECT_FALSE(core::ParsedBody(R"({"client_secret":"pi_1_secret_x"}})").root());
    EXPECT_EQ(std::ranges::count(secret, '\0'), std::ssize(secret));
}

TEST(Json, overwrites_what_it_was_changed_in) {
    EXPECT_EQ(core::strip_secrets(R"({"client_secret":"pi_1_secret_x"})"), "{}");
    json_malloc_t get = nullptr;
    json_free_t give_back = nullptr;
    json_get_alloc_funcs(&get, &give_back);
    EXPECT_EQ(give_back, core::overwrite_and_free);

    const std::unique_ptr<char, void (*)(void*)> memory(static_cast<char*>(std::malloc(100)),
                                                        std::free);
    std::memset(memory.get(), 's', 100);
    core::overwrite(memory.get());
    EXPECT_EQ(std::count(memory.get(), memory.get() + 100, '\0'), 100);
    core::overwrite(nullptr);
}

}  // namespace
}  // namespace pg_seats::test
