#include "pipelines/ingest/receive_buffer.hpp"

#include <algorithm>
#include <utility>

namespace hd::ingest {
namespace {

constexpr std::size_t kSize = kRtspMaxItem + ReceiveBuffer::kReadBytes;
// Of an interleaved packet, up to the SSRC.
constexpr std::size_t kSureBytes = 16;

// Random bytes hold dollar signs, and one that is taken for a packet swallows up to 64 KiB of
// video. So after garbage only a packet counts whose source is the one that we know.
bool surely_of(const ReceiveBuffer::Known& known, ByteView head) {
    const std::size_t at = head[1] == known.rtp_channel ? 12 : 8;  // of the SSRC
    const std::uint32_t ssrc = std::uint32_t{head[at]} << 24 | std::uint32_t{head[at + 1]} << 16 |
                               std::uint32_t{head[at + 2]} << 8 | head[at + 3];
    return (head[1] == known.rtp_channel || head[1] == known.rtcp_channel) && ssrc == known.ssrc;
}

}  // namespace

void ReceiveBuffer::clear() {
    begin_ = end_ = garbage_bytes_ = 0;
    lost_track_ = false;
}

void ReceiveBuffer::release() {
    clear();
    bytes_.reset();
}

std::span<std::uint8_t> ReceiveBuffer::room() {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(kSize);
    if (begin_ == end_) begin_ = end_ = 0;
    if (kSize - end_ < kReadBytes) {
        std::copy(bytes_.get() + begin_, bytes_.get() + end_, bytes_.get());
        end_ -= std::exchange(begin_, 0);
    }
    return {bytes_.get() + end_, kReadBytes};
}

RtspItem ReceiveBuffer::next(const std::optional<Known>& known) {
    while (begin_ < end_) {
        if (lost_track_ && known && bytes_[begin_] == '$') {
            if (end_ - begin_ < kSureBytes) break;
            if (!surely_of(*known, waiting().first(kSureBytes))) {
                ++begin_;
                continue;
            }
        }
        RtspItem item = next_item(waiting());
        if (item.kind == RtspItem::Kind::incomplete) break;
        begin_ += item.size;
        const bool garbage = item.kind == RtspItem::Kind::garbage;
        lost_track_ = garbage && known;
        garbage_bytes_ = garbage ? garbage_bytes_ + item.size : 0;
        return item;
    }
    return {};
}

}  // namespace hd::ingest
