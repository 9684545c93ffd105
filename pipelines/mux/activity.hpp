// How much of the picture changed from one key frame to the next: decodes key frames only, by
// libavcodec on the caller's thread. One object a stream. Holds one small number for each block of
// 16 x 16 pixels and no picture.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "index/base/result.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

// Mean brightness (0 to 255) of each whole block of 16 x 16 pixels, by rows.
struct BlockMeans {
    std::uint16_t columns = 0, rows = 0;
    std::vector<std::uint8_t> means;
};
// A mean that moved by more than this, of 255, has changed: above the noise and the coding of a
// scene that stands still.
constexpr int kBlockChange = 12;
// Changed blocks of a thousand, rounded up: 0 only if none changed. Nothing to compare with, or
// another size: nothing.
std::optional<std::uint16_t> changed_blocks(const BlockMeans& before, const BlockMeans& now);

class ActivityMeter {
  public:
    // unavailable: this libavcodec cannot decode it; invalid: the picture is larger than 4096 x
    // 2304.
    static Result<std::unique_ptr<ActivityMeter>> begin(const VideoTrack& track);
    virtual ~ActivityMeter() = default;

    // `key_frame` is a Sample's bytes. corrupt: no picture comes of it; the next is compared with
    // the one before.
    virtual Result<std::optional<std::uint16_t>> score(ByteView key_frame) = 0;
};

}  // namespace hd::mux
