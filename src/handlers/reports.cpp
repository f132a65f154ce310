#include "handlers/reports.hpp"

namespace pg_seats::handlers {

bool Reports::stuck(std::int64_t call, pid_t pid, TimestampTz since) {
    const bool is_new = told_stuck_.insert(call).second;
    if (is_new) {
        stuck_.push_back({call, pid, since});
    }
    return is_new;
}

void Reports::over(std::int64_t call) {
    if (told_stuck_.erase(call) > 0) {
        std::erase_if(stuck_, [&](const Stuck& stuck) { return stuck.call == call; });
        no_longer_stuck_.push_back(call);
    }
}

Reports::Written Reports::write(const Transaction& transaction) {
    Written written;
    const auto is_written = [&](const std::function<void()>& body) {
        const bool failed = transaction(body).has_value();
        (failed ? written.is_left : written.is_news) = true;
        return !failed;
    };
    const auto write_each = [&](auto& items, auto&& write_one) {
        std::erase_if(items,
                      [&](const auto& item) { return is_written([&] { write_one(item); }); });
    };
    const auto write_all = [&](std::vector<std::int64_t>& calls, auto&& write_them) {
        if (!calls.empty() && is_written([&] { write_them(calls); })) {
            calls.clear();
        }
    };
    write_all(not_run_, forget_starts);
    write_all(of_nobody_, review_for_role);
    write_each(dead_, [&](const Dead& dead) {
        if (charge_for_death(dead.call, dead.timed_out)) {
            written.to_look_up.push_back(dead.call);
        }
    });
    write_each(troubles_, [](const Trouble& trouble) { alert_role(trouble.role, trouble.text); });
    write_each(no_longer_stuck_, resolve_stuck);
    write_each(stuck_, [](const Stuck& stuck) { alert_stuck(stuck.call, stuck.pid, stuck.since); });
    return written;
}

}  // namespace pg_seats::handlers
