// A client secret on its way from Stripe's answer to whoever waits for it: wiped when it goes,
// moved and never copied, and without any way to print it. (So would be the URL of a Checkout
// Session: whoever has it may pay.)
#pragma once

#include <string.h>  // explicit_bzero

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "core/pure.hpp"

namespace pg_seats::core {

class ClientSecret {
  public:
    static constexpr std::size_t longest = 2'047;

    ClientSecret() = default;
    // What is longer is none.
    explicit ClientSecret(std::string_view secret) {
        if (!secret.empty() && secret.size() <= longest) {
            kept_.reset(new Kept);
            std::memcpy(kept_->bytes.data(), secret.data(), secret.size());
            kept_->size = secret.size();
        }
    }

    [[nodiscard]] bool empty() const noexcept { return kept_ == nullptr; }
    // For the one place that hands it over. Valid while the secret lives.
    [[nodiscard]] std::string_view reveal() const noexcept {
        return empty() ? std::string_view() : std::string_view(kept_->bytes.data(), kept_->size);
    }

  private:
    struct Kept {
        std::array<char, longest> bytes{};
        std::size_t size = 0;
    };
    struct Wipe {
        void operator()(Kept* kept) const noexcept {
            explicit_bzero(kept, sizeof *kept);
            delete kept;
        }
    };
    std::unique_ptr<Kept, Wipe> kept_;
};

}  // namespace pg_seats::core
