// Keeps stored answers, objects of events and parameters. What is old goes to an unlinked
// temporary file, so that a run of a million requests stays small in memory and still replays
// every answer byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stripe_simulator {

struct BlobRef {
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
};

class BlobStore {
  public:
    explicit BlobStore(std::size_t blocks_in_memory = 64) : in_memory_(blocks_in_memory) {}
    ~BlobStore();
    BlobStore(const BlobStore&) = delete;
    BlobStore& operator=(const BlobStore&) = delete;

    BlobRef put(std::string_view bytes);
    [[nodiscard]] std::string get(BlobRef ref) const;
    void clear();

  private:
    void spill_oldest();

    static constexpr std::size_t kBlock = 1U << 20U;
    std::size_t in_memory_;
    std::vector<std::string> blocks_;  // an empty one has gone to the file
    std::vector<std::uint64_t> starts_;
    std::size_t spilled_ = 0;
    std::uint64_t end_ = 0;
    int file_ = -1;
};

}  // namespace stripe_simulator
