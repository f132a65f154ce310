// stripe-simulator: a Stripe of one's own, for tests. See README.md.

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "api/gateway.hpp"
#include "control/control.hpp"
#include "control/webhooks.hpp"

namespace stripe_simulator {

namespace {

struct Options {
    int port = 0;
    std::string port_file;
    int control_port = -1;
    std::string control_port_file;
    std::vector<std::string> api_keys;
    std::uint64_t seed = 1;
    std::int64_t parent_pid = 0;
    bool watch_stdin = false;
    std::int64_t max_seconds = 0;
    std::int64_t clock = 0;
    std::string version = "2026-05-27.dahlia";
    bool require_version = false;
    std::size_t request_log = 20000;
    bool light = false;
    std::size_t answer_bytes = 0;
};

constexpr std::string_view kUsage =
    "usage: stripe-simulator [options]\n"
    "  --port N                 API port on 127.0.0.1 (0, the default: a free one)\n"
    "  --port-file FILE         written with the port once it listens\n"
    "  --control-port N         a port of its own for /_control (0: a free one)\n"
    "  --control-port-file FILE written with that port\n"
    "  --api-key KEY=ACCOUNT    may be repeated (default sk_test_simulator=acct_simulator)\n"
    "  --default-version V      of requests without Stripe-Version (2026-05-27.dahlia)\n"
    "  --require-version        refuse requests without Stripe-Version\n"
    "  --seed N                 of ids and of chance (1)\n"
    "  --clock UNIX             where the clock starts (now)\n"
    "  --request-log N          how many finished requests are kept (20000)\n"
    "  --light                  fewer details, for benchmarks\n"
    "  --answer-bytes N         answers are indented and about so large, as Stripe's are\n"
    "  --parent-pid PID         end when this process is gone\n"
    "  --watch-stdin            end when standard input is closed\n"
    "  --max-seconds N          end after so long\n";

std::int64_t number_of(std::string_view name, std::string_view text) {
    const auto number = parse_integer(text);
    if (!number || *number < 0) {
        throw std::runtime_error(std::string(name) + " wants a number");
    }
    return *number;
}

Options read_options(const std::vector<std::string>& arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        std::string name = arguments[i];
        if (name == "--light") {
            options.light = true;
            continue;
        }
        if (name == "--require-version") {
            options.require_version = true;
            continue;
        }
        if (name == "--watch-stdin") {
            options.watch_stdin = true;
            continue;
        }
        if (name == "--help") {
            std::fputs(kUsage.data(), stdout);
            std::exit(0);
        }
        std::string value;
        const std::size_t equals = name.find('=');
        if (equals != std::string::npos && name != "--api-key") {
            value = name.substr(equals + 1);
            name.resize(equals);
        } else if (++i < arguments.size()) {
            value = arguments[i];
        } else {
            throw std::runtime_error(name + " wants a value, or is unknown");
        }
        if (name == "--port") {
            options.port = static_cast<int>(number_of(name, value));
        } else if (name == "--port-file") {
            options.port_file = value;
        } else if (name == "--control-port") {
            options.control_port = static_cast<int>(number_of(name, value));
        } else if (name == "--control-port-file") {
            options.control_port_file = value;
        } else if (name == "--api-key") {
            options.api_keys.push_back(value);
        } else if (name == "--default-version") {
            options.version = value;
        } else if (name == "--seed") {
            options.seed = static_cast<std::uint64_t>(number_of(name, value));
        } else if (name == "--clock") {
            options.clock = number_of(name, value);
        } else if (name == "--request-log") {
            options.request_log = static_cast<std::size_t>(number_of(name, value));
        } else if (name == "--answer-bytes") {
            options.answer_bytes = static_cast<std::size_t>(number_of(name, value));
        } else if (name == "--parent-pid") {
            options.parent_pid = number_of(name, value);
        } else if (name == "--max-seconds") {
            options.max_seconds = number_of(name, value);
        } else {
            throw std::runtime_error("unknown option " + name);
        }
    }
    return options;
}

// By renaming, so that whoever waits for the file never reads half a number.
void write_port(const std::string& file, int port) {
    if (file.empty()) {
        return;
    }
    const std::string temporary = file + ".new";
    {
        std::ofstream out(temporary);
        out << port << '\n';
        if (!out.flush()) {
            throw std::runtime_error("cannot write " + temporary);
        }
    }
    if (std::rename(temporary.c_str(), file.c_str()) != 0) {
        throw std::runtime_error("cannot write " + file);
    }
}

void add_keys(AccessKeys& access, std::vector<std::string> keys) {
    if (keys.empty()) {
        keys.emplace_back("sk_test_simulator=acct_simulator");
    }
    for (const std::string& pair : keys) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw std::runtime_error("--api-key wants KEY=ACCOUNT");
        }
        access.add(pair.substr(0, equals), pair.substr(equals + 1));
    }
}

void watch_signals(EventLoop& loop) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    loop.watch(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC), EPOLLIN,
               [&loop](std::uint32_t) { loop.stop(); });
}

// Nothing may be left running when a test is killed.
void watch_parent(EventLoop& loop, std::int64_t pid) {
    if (kill(static_cast<pid_t>(pid), 0) != 0) {
        loop.stop();
        return;
    }
    loop.after_ms(500, [&loop, pid] { watch_parent(loop, pid); });
}

void watch_stdin(EventLoop& loop) {
    loop.watch(STDIN_FILENO, EPOLLIN, [&loop](std::uint32_t) {
        char unread[256];
        if (read(STDIN_FILENO, unread, sizeof unread) <= 0) {
            loop.stop();
        }
    });
}

// Time also passes by itself: renewals and expiries must not wait for a request.
void tick(EventLoop& loop, World& world) {
    world.catch_up();
    loop.after_ms(1000, [&loop, &world] { tick(loop, world); });
}

void run(const Options& options) {
    EventLoop loop;
    watch_signals(loop);
    Clock clock;
    if (options.clock != 0) {
        clock.set(options.clock);
    }
    BlobStore blobs;
    AccessKeys access;
    add_keys(access, options.api_keys);
    World::Options world_options;
    world_options.seed = options.seed;
    world_options.default_version = options.version;
    world_options.require_version = options.require_version;
    world_options.light = options.light;
    world_options.answer_bytes = options.answer_bytes;
    World world(world_options, clock, blobs);
    Webhooks webhooks(loop, world, options.seed);
    world.listen(
        [&](Account& account, const Event& event, const RenderAtVersion& render,
            const Json& previous) { webhooks.on_event(account, event, render, previous); });
    Gateway gateway({loop, world, access, blobs, options.seed, options.request_log, options.light});
    Control control({loop, world, gateway, access, webhooks});
    Server api(loop, gateway);
    Server own(loop, control);
    gateway.attach(api, control);
    control.attach(api, own);
    const int port = api.listen(options.port);
    int control_port = 0;
    if (options.control_port >= 0 || !options.control_port_file.empty()) {
        control_port = own.listen(options.control_port > 0 ? options.control_port : 0);
        write_port(options.control_port_file, control_port);
    }
    write_port(options.port_file, port);
    std::printf("stripe-simulator listens on 127.0.0.1:%d", port);
    if (control_port != 0) {
        std::printf(", control on 127.0.0.1:%d", control_port);
    }
    std::printf("\n");
    std::fflush(stdout);
    if (options.parent_pid > 0) {
        watch_parent(loop, options.parent_pid);
    }
    if (options.watch_stdin) {
        watch_stdin(loop);
    }
    if (options.max_seconds > 0) {
        loop.after_ms(options.max_seconds * 1000, [&loop] { loop.stop(); });
    }
    tick(loop, world);
    loop.run();
}

}  // namespace

}  // namespace stripe_simulator

int main(int count, char** arguments) {
    using namespace stripe_simulator;
    try {
        const Options options =
            read_options(std::vector<std::string>(arguments + 1, arguments + count));
        if (options.parent_pid > 0 && options.parent_pid == getppid()) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
        }
        run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "stripe-simulator: %s\n", error.what());
        return 1;
    }
    return 0;
}
