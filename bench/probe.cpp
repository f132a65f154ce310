// A client that measures how long its own calls take.
//
//   probe settle CONNECTION ROUNDS BATCH    from the COMMIT of BATCH calls to the last one settled
//   probe wire   CONNECTION ROUNDS RATE     from COMMIT to the first byte at the receiver, while
//                                           other sessions enqueue RATE calls a second
//   probe flush  CONNECTION ROUNDS          COMMIT of one row in a table of its own: one WAL flush
//
// Prints microseconds, a line for each measurement. `wire` is its own receiver, in a thread, so
// that both moments are of one clock; it defines the destination "wire" for that.
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

struct ResultRelease {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, ResultRelease>;

class Database {
  public:
    explicit Database(const char* connection) : connection_(PQconnectdb(connection)) {
        if (PQstatus(connection_) != CONNECTION_OK) {
            fail(PQerrorMessage(connection_));
        }
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database() { PQfinish(connection_); }

    Result run(const std::string& sql) {
        Result result(PQexec(connection_, sql.c_str()));
        const ExecStatusType status = PQresultStatus(result.get());
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            fail(PQerrorMessage(connection_));
        }
        return result;
    }
    std::string value(const std::string& sql) { return PQgetvalue(run(sql).get(), 0, 0); }

  private:
    PGconn* connection_;
};

double microseconds_since(Clock::time_point start, Clock::time_point end = Clock::now()) {
    return std::chrono::duration<double, std::micro>(end - start).count();
}

void measure_settling(const char* connection, int rounds, int batch) {
    Database database(connection);
    const std::string enqueue =
        "SELECT seats.enqueue_call('stripe', 'POST', '/v1/customers', '{\"name\": \"probe\"}')"
        "  FROM generate_series(1, " +
        std::to_string(batch) + ")";
    for (int round = 0; round < rounds; ++round) {
        const Result ids = database.run(enqueue);
        const auto committed = Clock::now();
        for (int i = 0; i < batch; ++i) {
            const std::string state = database.value(std::string("CALL seats.wait_for_call(") +
                                                     PQgetvalue(ids.get(), i, 0) + ")");
            if (state != "done") {
                fail("a call is " + state);
            }
        }
        std::printf("%.1f\n", microseconds_since(committed));
    }
}

void measure_flush(const char* connection, int rounds) {
    Database database(connection);
    database.run("CREATE SCHEMA IF NOT EXISTS bench");
    database.run("CREATE TABLE IF NOT EXISTS bench.flush (n integer)");
    for (int round = 0; round < rounds; ++round) {
        database.run("BEGIN");
        database.run("INSERT INTO bench.flush VALUES (1)");
        const auto start = Clock::now();
        database.run("COMMIT");
        std::printf("%.1f\n", microseconds_since(start));
    }
}

// Takes note of when each path was first seen, and answers every request with 200.
class Receiver {
  public:
    Receiver() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const plain = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_, plain, size) != 0 || ::listen(listener_, 1024) != 0 ||
            ::getsockname(listener_, plain, &size) != 0) {
            fail("cannot listen");
        }
        port_ = ntohs(address.sin_port);
        watch(listener_);
        thread_ = std::thread([this] { serve(); });
    }
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;
    ~Receiver() {
        stop_ = true;
        thread_.join();
        ::close(listener_);
        ::close(epoll_);
    }

    [[nodiscard]] int port() const { return port_; }

    Clock::time_point await(const std::string& path) {
        const auto until = Clock::now() + std::chrono::seconds{30};
        while (Clock::now() < until) {
            {
                const std::lock_guard lock(mutex_);
                if (const auto found = seen_.find(path); found != seen_.end()) {
                    const auto moment = found->second;
                    seen_.erase(found);
                    return moment;
                }
            }
            std::this_thread::sleep_for(std::chrono::microseconds{200});
        }
        fail("nothing arrived for " + path);
    }

  private:
    void watch(int socket) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = socket;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
    }

    void serve() {
        std::array<epoll_event, 64> events{};
        while (!stop_) {
            const int count =
                epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
            const auto now = Clock::now();
            for (int i = 0; i < count; ++i) {
                const int socket = events[static_cast<std::size_t>(i)].data.fd;
                if (socket == listener_) {
                    watch(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
                } else {
                    read(socket, now);
                }
            }
        }
    }

    void read(int socket, Clock::time_point now) {
        std::array<char, 16384> buffer{};
        const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
        if (size <= 0) {
            input_.erase(socket);
            ::close(socket);
            return;
        }
        std::string& input = input_[socket];
        input.append(buffer.data(), static_cast<std::size_t>(size));
        const std::size_t head = input.find("\r\n\r\n");
        if (head == std::string::npos) {
            return;
        }
        const std::size_t field = input.find("Content-Length: ");
        const std::size_t length =
            field < head ? std::strtoul(input.c_str() + field + 16, nullptr, 10) : 0;
        if (input.size() < head + 4 + length) {
            return;
        }
        const std::size_t from = input.find(' ') + 1;
        std::string path = input.substr(from, input.find(' ', from) - from);
        if (path.starts_with("/v1/measured/")) {
            const std::lock_guard lock(mutex_);
            seen_.try_emplace(std::move(path), now);
        }
        input.clear();
        constexpr std::string_view answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"
            R"({"id":"acct_wire","object":"account"})";
        if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) {
            ::close(socket);
        }
    }

    int listener_;
    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    int port_ = 0;
    std::atomic<bool> stop_ = false;
    std::mutex mutex_;
    std::unordered_map<std::string, Clock::time_point> seen_;
    std::unordered_map<int, std::string> input_;
    std::thread thread_;
};

std::string enqueue(const std::string& path) {
    return "SELECT seats.enqueue_call('wire', 'POST', '" + path + "', '{\"name\": \"probe\"}')";
}

// Other people's calls, one in a transaction, evenly spread, until the end of this object.
class Others {
  public:
    Others(const char* connection, int rate) {
        for (std::thread& session : sessions_) {
            if (rate >= static_cast<int>(sessions_.size())) {
                const int share = rate / static_cast<int>(sessions_.size());
                session = std::thread([this, connection, share] { enqueue_on(connection, share); });
            }
        }
    }
    Others(const Others&) = delete;
    Others& operator=(const Others&) = delete;
    ~Others() {
        stop_ = true;
        for (std::thread& session : sessions_) {
            if (session.joinable()) {
                session.join();
            }
        }
    }

  private:
    void enqueue_on(const char* connection, int rate) {
        Database database(connection);
        const auto pause = std::chrono::nanoseconds{1'000'000'000 / rate};
        auto next = Clock::now();
        while (!stop_) {
            database.run(enqueue("/v1/others"));
            next = std::max(next + pause, Clock::now() - std::chrono::milliseconds{20});
            std::this_thread::sleep_until(next);
        }
    }

    std::atomic<bool> stop_ = false;
    std::array<std::thread, 2> sessions_;
};

void measure_wire(const char* connection, int rounds, int rate) {
    Receiver receiver;
    Database database(connection);
    database.run("SELECT seats.define_destination('wire', 'http://127.0.0.1:" +
                 std::to_string(receiver.port()) +
                 "', 'stripe_key', livemode => false, requests_per_second => 1000000)");
    const Others others(connection, rate);
    const auto measure = [&](int round) {
        const std::string path = "/v1/measured/" + std::to_string(rate) + "/" +
                                 std::to_string(receiver.port()) + "/" + std::to_string(round);
        database.run("BEGIN");
        database.run(enqueue(path));
        database.run("COMMIT");
        const auto committed = Clock::now();
        return microseconds_since(committed, receiver.await(path));
    };
    for (int round = 0; round < rounds + 20; ++round) {
        const double took = measure(round);
        if (round >= 20) {  // connections, plans and caches before that
            std::printf("%.1f\n", took);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{3 + round % 5});
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view what = count > 3 ? arguments[1] : "";
    const int rounds = count > 3 ? std::atoi(arguments[3]) : 0;
    const int last = count > 4 ? std::atoi(arguments[4]) : 0;
    try {
        if (what == "settle") {
            measure_settling(arguments[2], rounds, last);
        } else if (what == "wire") {
            measure_wire(arguments[2], rounds, last);
        } else if (what == "flush") {
            measure_flush(arguments[2], rounds);
        } else {
            std::fputs("probe settle|wire|flush CONNECTION ROUNDS [BATCH|RATE]\n", stderr);
            return 2;
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "probe: %s\n", error.what());
        return 1;
    }
}
