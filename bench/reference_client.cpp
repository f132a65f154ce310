// What one process can do at best with libpq and libcurl: reads rows from a table in batches, POSTs
// them with a number of requests on the wire, and stores each batch of results in one statement.
// It proves nothing, orders nothing and survives nothing. The measure for pg_seats' drain.
//
//   reference_client CONNECTION URL API-KEY IN-FLIGHT nothing|results
//
// Prints: calls seconds cpu-of-this-process cpu-of-its-backend (seconds).
#include <curl/curl.h>
#include <libpq-fe.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int read_batch = 512;
constexpr std::size_t most_stored_at_once = 512;

struct Row {
    std::string id, key, path, body;
};

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

// ---- PostgreSQL

struct ResultRelease {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, ResultRelease>;

// A one-dimensional array in the server's binary form.
class Array {
  public:
    explicit Array(int element_type) : element_type_(element_type) {}
    void add(std::string_view bytes) {
        number(static_cast<std::uint32_t>(bytes.size()));
        elements_.append(bytes);
        ++size_;
    }
    void add(std::uint32_t value) {
        number(4);
        number(value);
        ++size_;
    }
    void add(std::uint64_t value) {
        number(8);
        number(static_cast<std::uint32_t>(value >> 32U));
        number(static_cast<std::uint32_t>(value));
        ++size_;
    }
    [[nodiscard]] std::string take() {
        std::string rows = std::move(elements_);
        elements_.clear();
        number(1);  // dimensions
        number(0);  // no nulls
        number(static_cast<std::uint32_t>(element_type_));
        number(size_);
        number(1);  // lower bound
        size_ = 0;
        std::string whole = std::move(elements_);
        elements_.clear();
        return whole + rows;
    }

  private:
    void number(std::uint32_t value) {
        const std::array<char, 4> bytes{static_cast<char>(value >> 24U),
                                        static_cast<char>(value >> 16U),
                                        static_cast<char>(value >> 8U), static_cast<char>(value)};
        elements_.append(bytes.data(), bytes.size());
    }
    int element_type_;
    std::uint32_t size_ = 0;
    std::string elements_;
};

class Database {
  public:
    explicit Database(const char* connection) : connection_(PQconnectdb(connection)) {
        if (PQstatus(connection_) != CONNECTION_OK) {
            fail(PQerrorMessage(connection_));
        }
        prepare("read",
                "SELECT o.id::text, o.key, o.path, o.body FROM bench.reference_outbox AS o"
                " WHERE o.id > $1::bigint ORDER BY o.id LIMIT $2::int");
        prepare("store",
                "WITH answer AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::integer[],"
                "      $3::bigint[], $4::bytea[]) AS a (id, http_status, duration_us, answer)),"
                " gone AS (DELETE FROM bench.reference_outbox AS o USING answer AS a"
                "   WHERE o.id = a.id AND o.id = ANY ($1::bigint[])"
                "  RETURNING o.*, a.http_status, a.duration_us, a.answer) "
                "INSERT INTO bench.reference_history (id, key, path, body, created_at, settled_at,"
                "    http_status, duration_us, answer)"
                " SELECT id, key, path, body, created_at, clock_timestamp(), http_status,"
                "    duration_us, answer FROM gone");
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database() { PQfinish(connection_); }

    [[nodiscard]] int backend() const { return PQbackendPID(connection_); }

    std::vector<Row> read(const std::string& above) {
        const std::string limit = std::to_string(read_batch);
        const std::array<const char*, 2> values{above.c_str(), limit.c_str()};
        const Result result(
            PQexecPrepared(connection_, "read", 2, values.data(), nullptr, nullptr, 0));
        if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
            fail(PQerrorMessage(connection_));
        }
        std::vector<Row> rows(static_cast<std::size_t>(PQntuples(result.get())));
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto cell = [&](int column) {
                return std::string(PQgetvalue(result.get(), static_cast<int>(i), column));
            };
            rows[i] = {cell(0), cell(1), cell(2), cell(3)};
        }
        return rows;
    }

    void store(const std::array<std::string, 4>& columns) {
        std::array<const char*, 4> values{};
        std::array<int, 4> lengths{};
        const std::array<int, 4> binary{1, 1, 1, 1};
        for (std::size_t i = 0; i < columns.size(); ++i) {
            values[i] = columns[i].data();
            lengths[i] = static_cast<int>(columns[i].size());
        }
        const Result result(PQexecPrepared(connection_, "store", 4, values.data(), lengths.data(),
                                           binary.data(), 0));
        if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
            fail(PQerrorMessage(connection_));
        }
    }

  private:
    void prepare(const char* name, const char* sql) {
        const Result result(PQprepare(connection_, name, sql, 0, nullptr));
        if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
            fail(PQerrorMessage(connection_));
        }
    }
    PGconn* connection_;
};

// ---- HTTP

struct Transfer {
    CURL* handle = curl_easy_init();
    curl_slist* headers = nullptr;
    Row row;
    std::string answer;
    Clock::time_point sent;

    ~Transfer() {
        curl_easy_cleanup(handle);
        curl_slist_free_all(headers);
    }
};

struct Finished {
    std::string id;
    std::uint32_t status;
    std::uint64_t duration_us;
    std::string answer;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* transfer) {
    static_cast<Transfer*>(transfer)->answer.append(data, size * count);
    return size * count;
}

class Http {
  public:
    Http(std::string url, std::string key, long in_flight)
        : url_(std::move(url)), key_(std::move(key)), multi_(curl_multi_init()) {
        curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Http::on_socket);
        curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Http::on_timer);
        curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
        curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, in_flight);
    }

    void send(Row row) {
        std::unique_ptr<Transfer> transfer = take();
        CURL* const handle = transfer->handle;
        transfer->row = std::move(row);
        transfer->answer.clear();
        transfer->sent = Clock::now();
        curl_slist_free_all(transfer->headers);
        transfer->headers = curl_slist_append(nullptr, ("Authorization: Bearer " + key_).c_str());
        transfer->headers =
            curl_slist_append(transfer->headers, ("Idempotency-Key: " + transfer->row.key).c_str());
        transfer->headers =
            curl_slist_append(transfer->headers, "Stripe-Version: 2026-05-27.dahlia");
        transfer->headers = curl_slist_append(transfer->headers, "Expect:");
        curl_easy_setopt(handle, CURLOPT_URL, (url_ + transfer->row.path).c_str());
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, transfer->headers);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE,
                         static_cast<long>(transfer->row.body.size()));
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, transfer->row.body.c_str());
        curl_multi_add_handle(multi_, handle);
        static_cast<void>(transfer.release());  // curl's, until it has finished
        ++in_flight_;
    }

    // Waits until something has happened, and adds what has finished.
    void wait(std::vector<Finished>& finished) {
        std::array<epoll_event, 256> events{};
        int timeout = 1000;
        if (due_) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due_ - Clock::now());
            timeout = static_cast<int>(std::max<long>(left.count(), 0));
        }
        const int count =
            epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
        int running = 0;
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            const int what = ((event.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                             ((event.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0);
            curl_multi_socket_action(multi_, event.data.fd, what, &running);
        }
        if (due_ && *due_ <= Clock::now()) {
            due_.reset();
            curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        int left = 0;
        while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
            char* self = nullptr;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
            std::unique_ptr<Transfer> transfer(static_cast<Transfer*>(static_cast<void*>(self)));
            if (message->data.result != CURLE_OK) {
                fail(curl_easy_strerror(message->data.result));
            }
            long status = 0;
            curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
            if (status != 200) {
                fail("status " + std::to_string(status));
            }
            curl_multi_remove_handle(multi_, transfer->handle);
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() -
                                                                                    transfer->sent);
            finished.push_back({std::move(transfer->row.id), static_cast<std::uint32_t>(status),
                                static_cast<std::uint64_t>(took.count()),
                                std::move(transfer->answer)});
            spare_.push_back(std::move(transfer));
            --in_flight_;
        }
    }

    [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

  private:
    std::unique_ptr<Transfer> take() {
        if (!spare_.empty()) {
            std::unique_ptr<Transfer> transfer = std::move(spare_.back());
            spare_.pop_back();
            return transfer;
        }
        auto transfer = std::make_unique<Transfer>();
        CURL* const handle = transfer->handle;
        curl_easy_setopt(handle, CURLOPT_PRIVATE, transfer.get());
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_PROXY, "");
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &on_body);
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer.get());
        return transfer;
    }

    static int on_socket(CURL* /*handle*/, curl_socket_t socket, int what, void* self,
                         void* known) {
        Http& http = *static_cast<Http*>(self);
        if (what == CURL_POLL_REMOVE) {
            epoll_ctl(http.epoll_, EPOLL_CTL_DEL, socket, nullptr);
            return 0;
        }
        epoll_event event{};
        event.events =
            (what != CURL_POLL_OUT ? EPOLLIN : 0U) | (what != CURL_POLL_IN ? EPOLLOUT : 0U);
        event.data.fd = socket;
        epoll_ctl(http.epoll_, known != nullptr ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
        curl_multi_assign(http.multi_, socket, self);
        return 0;
    }

    static int on_timer(CURLM* /*multi*/, long milliseconds, void* self) {
        Http& http = *static_cast<Http*>(self);
        http.due_.reset();
        if (milliseconds >= 0) {
            http.due_ = Clock::now() + std::chrono::milliseconds{milliseconds};
        }
        return 0;
    }

    std::string url_, key_;
    CURLM* multi_;
    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::optional<Clock::time_point> due_;
    std::vector<std::unique_ptr<Transfer>> spare_;
    std::size_t in_flight_ = 0;
};

void store(Database& database, std::vector<Finished>& finished) {
    constexpr int int8_type = 20, int4_type = 23, bytea_type = 17;
    for (std::size_t from = 0; from < finished.size(); from += most_stored_at_once) {
        Array id(int8_type), status(int4_type), duration(int8_type), answer(bytea_type);
        const std::size_t to = std::min(finished.size(), from + most_stored_at_once);
        for (std::size_t i = from; i < to; ++i) {
            id.add(static_cast<std::uint64_t>(std::strtoull(finished[i].id.c_str(), nullptr, 10)));
            status.add(finished[i].status);
            duration.add(finished[i].duration_us);
            answer.add(finished[i].answer);
        }
        database.store({id.take(), status.take(), duration.take(), answer.take()});
    }
}

// ---- processor time

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double own_processor_time() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

double processor_time_of(int process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/schedstat");
    double nanoseconds = 0;
    file >> nanoseconds;
    return nanoseconds / 1e9;
}

void run(char** arguments) {
    Database database(arguments[1]);
    const auto in_flight = static_cast<std::size_t>(std::strtoul(arguments[4], nullptr, 10));
    const bool stores = std::strcmp(arguments[5], "results") == 0;
    Http http(arguments[2], arguments[3], static_cast<long>(in_flight));
    const double own_before = own_processor_time();
    const double backend_before = processor_time_of(database.backend());
    const auto start = Clock::now();

    std::deque<Row> rows;
    std::vector<Finished> finished;
    std::string above = "0";
    bool more = true;
    std::size_t calls = 0;
    while (more || !rows.empty() || http.in_flight() > 0) {
        if (more && rows.size() < in_flight) {
            std::vector<Row> batch = database.read(above);
            more = batch.size() == read_batch;
            if (!batch.empty()) {
                above = batch.back().id;
            }
            std::move(batch.begin(), batch.end(), std::back_inserter(rows));
        }
        while (!rows.empty() && http.in_flight() < in_flight) {
            http.send(std::move(rows.front()));
            rows.pop_front();
        }
        http.wait(finished);
        calls += finished.size();
        if (stores) {
            store(database, finished);
        }
        finished.clear();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::printf("%zu %.6f %.6f %.6f\n", calls, seconds, own_processor_time() - own_before,
                processor_time_of(database.backend()) - backend_before);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 6) {
        std::fputs("reference_client CONNECTION URL API-KEY IN-FLIGHT nothing|results\n", stderr);
        return 2;
    }
    try {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        run(arguments);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "reference_client: %s\n", error.what());
        return 1;
    }
}
