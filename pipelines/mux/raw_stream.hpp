// Times and parameters of a raw H.264 / H.265 stream, which has none of a container's: display
// order from picture order counts, and avcC/hvcC from the parameter sets in the stream.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

class RawStream {
  public:
    struct Unit {
        OwnedSample sample;
        std::shared_ptr<const VideoTrack> track;
    };

    // `reorder` is how many pictures may be decoded before an earlier one is shown, as far as the
    // stream says.
    static Result<RawStream> begin(Codec codec, Micros frame_duration, int reorder);

    // One access unit of Annex B bytes, in decode order. Units before the first parameter sets are
    // passed over.
    Result<void> push(ByteView annexb);
    void finish() { rank_all(); }
    // The next unit whose place in display order is known. corrupt: it would have to be shown
    // before it is decoded.
    Result<std::optional<Unit>> pop();

  private:
    struct Waiting {
        Unit unit;
        std::optional<std::int64_t> rank;
    };
    Result<void> read_parameters(const std::vector<ByteView>& nals, ByteView annexb);
    void rank_first();
    void rank_all();

    Codec codec_ = Codec::h264;
    Micros frame_duration_{0};
    AvCodec context_;
    AvParser parser_;
    Bytes parameter_sets_;  // Annex B, as last seen
    std::shared_ptr<const VideoTrack> track_;
    std::deque<Waiting> waiting_;          // in decode order
    std::map<int, std::size_t> unranked_;  // picture order count -> decode number
    std::size_t popped_ = 0;               // decode number of waiting_.front()
    std::int64_t ranked_ = 0;              // pictures that have their place
    std::int64_t delay_ = 0;               // frames that dts is ahead of pts at the start
};

}  // namespace hd::mux
