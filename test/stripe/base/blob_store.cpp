#include "base/blob_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace stripe_simulator {

namespace {

int open_unlinked() {
    const char* directory = std::getenv("TMPDIR");
    std::string name = std::string(directory != nullptr ? directory : "/tmp") + "/stripe-XXXXXX";
    const int file = mkostemp(name.data(), O_CLOEXEC);
    if (file < 0) {
        throw std::runtime_error("cannot make a temporary file in " + name);
    }
    unlink(name.c_str());
    return file;
}

}  // namespace

BlobStore::~BlobStore() {
    if (file_ >= 0) {
        close(file_);
    }
}

BlobRef BlobStore::put(std::string_view bytes) {
    if (blocks_.empty() || blocks_.back().size() + bytes.size() > kBlock) {
        if (blocks_.size() - spilled_ >= in_memory_) {
            spill_oldest();
        }
        blocks_.emplace_back().reserve(std::max(kBlock, bytes.size()));
        starts_.push_back(end_);
    }
    const BlobRef ref{end_, static_cast<std::uint32_t>(bytes.size())};
    blocks_.back().append(bytes);
    end_ += bytes.size();
    return ref;
}

std::string BlobStore::get(BlobRef ref) const {
    if (ref.size == 0) {
        return {};
    }
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), ref.offset);
    const auto index = static_cast<std::size_t>(after - starts_.begin()) - 1;
    if (index >= spilled_) {
        return blocks_[index].substr(ref.offset - starts_[index], ref.size);
    }
    std::string out(ref.size, '\0');
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t got = pread(file_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(ref.offset + done));
        if (got <= 0) {
            throw std::runtime_error("cannot read the temporary file");
        }
        done += static_cast<std::size_t>(got);
    }
    return out;
}

void BlobStore::clear() {
    blocks_.clear();
    starts_.clear();
    spilled_ = 0;
    end_ = 0;
}

void BlobStore::spill_oldest() {
    if (file_ < 0) {
        file_ = open_unlinked();
    }
    std::string& block = blocks_[spilled_];
    std::size_t done = 0;
    while (done < block.size()) {
        const ssize_t put = pwrite(file_, block.data() + done, block.size() - done,
                                   static_cast<off_t>(starts_[spilled_] + done));
        if (put <= 0) {
            throw std::runtime_error("cannot write the temporary file");
        }
        done += static_cast<std::size_t>(put);
    }
    std::string().swap(block);
    ++spilled_;
}

}  // namespace stripe_simulator
