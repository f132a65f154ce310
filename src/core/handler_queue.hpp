// The handlers of applications that can run, as the dispatcher remembers them: which is the next of
// each lane, which are due, and how far the table has been read. A cache: whoever takes one looks
// into the table again, so it may hold what is gone, and must only not miss for ever what is there.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/call.hpp"

#include "core/pure.hpp"

namespace pg_seats::core {

using RoleId = std::uint32_t;

// As the table tells of it.
struct WaitingHandler {
    std::int64_t call = 0;
    std::int64_t lane = 0;  // 0: none
    RoleId role = 0;
    Moment due_at = 0;     // 0: at once
    bool careful = false;  // has timed out, or waited for a lock
    bool suspect = false;  // was begun, and the server crashed
};

// Some of the table, in order of the calls. (Not all rows of it need be ours.)
struct HandlerPage {
    std::vector<WaitingHandler> rows;
    std::optional<std::int64_t> read_up_to;  // nothing: there is no more
};

struct HandlerLimits {
    std::size_t most = 10'000;
    // One role whose handlers cannot run is not to fill the memory.
    std::size_t most_of_role = 1'000;
    std::size_t page = 1'000;
};

// What may be given to a process now.
struct Allowed {
    bool careful = true;
    bool suspects = true;
};

// Suspects and careful ones go by themselves.
struct HandlerBatch {
    std::vector<std::int64_t> calls;
    bool careful = false;
};

class HandlerQueue {
  public:
    explicit HandlerQueue(HandlerLimits limits = {}) : limits_(limits) {}

    // ---- from the table

    // Everything is to be read, from its beginning on. (While that is done, once more behind it:
    // whoever asks again and again must not keep it from its end.)
    void read_all();
    // Behind which call to read limits().page rows, because there is room for them.
    [[nodiscard]] std::optional<std::int64_t> wanted_page();
    // This came of it.
    void take_page(const HandlerPage& page, Moment now);
    // Somebody has said of a call that its handler can run, and it was looked up.
    void take_arrival(const WaitingHandler& row, Moment now);

    // ---- what becomes of them

    // A process has it, from an earlier life of the worker.
    void set_running(std::int64_t call);
    [[nodiscard]] bool is_running(std::int64_t call) const;
    // While it ran it was told of once more: what comes of it now may be older than that.
    [[nodiscard]] bool is_told_anew(std::int64_t call) const;
    // It has run, or is looked up anew.
    void forget(std::int64_t call, Moment now);
    // A person must decide: those behind it in its lane are offered anew when he has. Gives all
    // that was forgotten.
    std::vector<std::int64_t> forget_lane_of(std::int64_t call, Moment now);
    // It was not begun.
    void give_back(std::int64_t call, Moment now);
    // An earlier one of its lane is there. If we know nothing of that one, the lane waits until we
    // hear of one of its calls.
    void hold_lane_of(std::int64_t call, Moment now);

    // ---- choosing

    // What has become due by now is ready.
    void look_at_clock(Moment now);
    [[nodiscard]] std::optional<Moment> next_due() const;
    // Then one is due that was left to the table because others could run before: all is to be
    // read.
    [[nodiscard]] std::optional<Moment> left_out_until() const;
    [[nodiscard]] std::vector<RoleId> roles() const;
    // How many calls of a role could be given to processes now.
    [[nodiscard]] std::size_t ready(RoleId role, Allowed allowed) const;
    // Takes them: they are running from now on.
    [[nodiscard]] HandlerBatch take(RoleId role, Allowed allowed, std::size_t most);

    [[nodiscard]] std::size_t size() const { return handlers_.size(); }
    [[nodiscard]] const HandlerLimits& limits() const { return limits_; }

  private:
    enum class Place : std::uint8_t { blocked, later, ready, running };

    struct Handler {
        WaitingHandler row;
        Place place = Place::blocked;
        std::uint64_t pass = 0;  // in which it was seen last
        bool told_anew = false;
    };
    struct Lane {
        std::set<std::int64_t> calls;
        std::int64_t running = 0;
        bool held = false;
    };
    struct Role {
        std::set<std::int64_t> calls;
        std::set<std::int64_t> plain, careful, suspects;  // which are ready
        std::set<std::pair<Moment, std::int64_t>> later;
        std::int64_t dropped_from = 0;  // from this call on the table may have more; 0: nothing
    };
    using Handlers = std::unordered_map<std::int64_t, Handler>;

    void begin_pass();
    void end_pass(Moment now);
    void take_page_of(RoleId role_id, const HandlerPage& page, Moment now);
    [[nodiscard]] const std::pair<const RoleId, Role>* role_with_room() const;
    [[nodiscard]] bool has_room(const Role& role) const;

    void add(const WaitingHandler& row, Moment now);
    [[nodiscard]] bool update(const WaitingHandler& row, Moment now);
    void insert(const WaitingHandler& row, Moment now);
    void leave_out(const WaitingHandler& row);
    [[nodiscard]] bool make_room_of_later(const Role& role, Moment now);
    [[nodiscard]] bool make_room(Role& role, std::int64_t call, Moment now);
    void erase(Handlers::iterator at, Moment now);

    [[nodiscard]] bool is_next_of_lane(const WaitingHandler& row) const;
    void look_at_lane(std::int64_t lane, Moment now);
    void place_anew(Handler& handler, Moment now);
    void place(Handler& handler, Moment now);
    void move(Handler& handler, Place to);
    void note(const Handler& handler, bool comes);
    [[nodiscard]] std::optional<std::int64_t> ready_suspect(const Role& role,
                                                            Allowed allowed) const;
    static std::set<std::int64_t>& ready_set(Role& role, const WaitingHandler& row);

    HandlerLimits limits_;
    Handlers handlers_;
    std::unordered_map<std::int64_t, Lane> lanes_;
    std::map<RoleId, Role> roles_;
    std::set<std::pair<Moment, std::int64_t>> later_;
    std::optional<Moment> left_out_until_;
    int running_suspects_ = 0;
    // A pass over the whole table, and up to where it has come.
    bool reading_ = false;
    bool read_again_ = false;
    std::int64_t read_up_to_ = 0;
    std::uint64_t pass_ = 0;
    std::optional<RoleId> page_of_;  // the page that is being read is one role's
};

}  // namespace pg_seats::core
