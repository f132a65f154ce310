#include "api/idempotency.hpp"

namespace stripe_simulator {

std::string IdempotencyStore::full_key(std::string_view scope, std::string_view key) {
    std::string full;
    full.reserve(scope.size() + key.size() + 1);
    full.append(scope).push_back('\n');
    full.append(key);
    return full;
}

IdempotencyStore::Finding IdempotencyStore::look_up(std::string_view scope, std::string_view key,
                                                    std::string_view endpoint,
                                                    const Hash128& fingerprint, std::int64_t now,
                                                    const Entry** entry) {
    const auto found = entries_.find(full_key(scope, key));
    if (found == entries_.end()) {
        return Finding::kNew;
    }
    const Entry& known = found->second;
    if (!known.in_progress && now - known.created >= kLifetime) {
        entries_.erase(found);
        ++pruned_;
        return Finding::kNew;
    }
    *entry = &known;
    if (known.endpoint != endpoint) {
        return Finding::kOtherEndpoint;
    }
    if (!(known.fingerprint == fingerprint)) {
        return Finding::kMismatch;
    }
    if (known.in_progress) {
        return Finding::kInUse;
    }
    return Finding::kReplay;
}

void IdempotencyStore::begin(std::string_view scope, std::string_view key,
                             std::string_view endpoint, const Hash128& fingerprint,
                             std::string_view request_id, std::int64_t now) {
    Entry& entry = entries_[full_key(scope, key)];
    entry = Entry();
    entry.fingerprint = fingerprint;
    entry.endpoint = endpoint;
    entry.created = now;
    request_id.copy(entry.original.data(), entry.original.size() - 1);
}

void IdempotencyStore::complete(std::string_view scope, std::string_view key, int status,
                                BlobRef body) {
    const auto found = entries_.find(full_key(scope, key));
    if (found != entries_.end()) {
        found->second.in_progress = false;
        found->second.status = static_cast<std::int16_t>(status);
        found->second.body = body;
    }
}

void IdempotencyStore::abandon(std::string_view scope, std::string_view key) {
    entries_.erase(full_key(scope, key));
}

void IdempotencyStore::prune(std::int64_t now) {
    pruned_ += std::erase_if(entries_, [&](const auto& pair) {
        return !pair.second.in_progress && now - pair.second.created >= kLifetime;
    });
}

std::size_t IdempotencyStore::forget(std::string_view pattern) {
    return std::erase_if(entries_, [&](const auto& pair) {
        const std::string_view full = pair.first;
        return !pair.second.in_progress && glob_match(pattern, full.substr(full.find('\n') + 1));
    });
}

void IdempotencyStore::clear() {
    entries_.clear();
    pruned_ = 0;
}

}  // namespace stripe_simulator
