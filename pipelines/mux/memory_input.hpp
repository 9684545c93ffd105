// Inside pipelines/mux only: bytes in memory as a file that libav can read and seek in.
#pragma once

#include <algorithm>
#include <cstring>

#include "pipelines/mux/av_handles.hpp"

namespace hd::mux {

// Must stay where it is while what open() gave is in use; `bytes` must outlive both.
class MemoryInput {
  public:
    explicit MemoryInput(ByteView bytes) : bytes_(bytes) {}
    AvIo open() {
        auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferBytes));
        return AvIo{avio_alloc_context(buffer, kBufferBytes, 0, this, &read, nullptr, &seek)};
    }

  private:
    static constexpr int kBufferBytes = 64 * 1024;

    static int read(void* self, std::uint8_t* out, int size) {
        auto& in = *static_cast<MemoryInput*>(self);
        const std::size_t n = std::min(static_cast<std::size_t>(size), in.bytes_.size() - in.at_);
        if (n == 0) return AVERROR_EOF;
        std::memcpy(out, in.bytes_.data() + in.at_, n);
        in.at_ += n;
        return static_cast<int>(n);
    }
    static std::int64_t seek(void* self, std::int64_t offset, int whence) {
        auto& in = *static_cast<MemoryInput*>(self);
        const auto size = static_cast<std::int64_t>(in.bytes_.size());
        if (whence == AVSEEK_SIZE) return size;
        std::int64_t base = 0;
        if (whence == SEEK_CUR) base = static_cast<std::int64_t>(in.at_);
        if (whence == SEEK_END) base = size;
        if (base + offset < 0 || base + offset > size) return AVERROR(EINVAL);
        in.at_ = static_cast<std::size_t>(base + offset);
        return base + offset;
    }
    ByteView bytes_;
    std::size_t at_ = 0;
};

}  // namespace hd::mux
