// Watches a stream that is kept as the camera sends it: is it within the limits set for it? One
// thread. Pure but for the desk that remembers.
#pragma once

#include <memory>
#include <optional>

#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

class StreamGuard {
  public:
    StreamGuard(const link::RecorderSettings& settings, std::shared_ptr<EncoderDesk> desk)
        : settings_(settings), desk_(std::move(desk)) {}

    // Nothing: within the limits. Otherwise the session has to end with this: with `auto` the desk
    // then knows why the next one encodes, with `camera` there will be none.
    std::optional<Lost> look(const StreamFormat& format, BootTime now);
    // Measured over ten seconds, twice in a row, with a tenth of tolerance: a busy scene is no
    // reason. `camera` keeps a stream that has too many bits: an owner who wants the camera's own
    // stream wants it then too.
    std::optional<Lost> look(const Frame& frame, BootTime now);

  private:
    std::optional<Lost> exceeded(std::string what, BootTime now) const;

    const link::RecorderSettings settings_;
    const std::shared_ptr<EncoderDesk> desk_;
    std::optional<BootTime> window_begin_;
    std::uint64_t bytes_ = 0, frames_ = 0;
    unsigned over_ = 0;  // windows in a row
};

}  // namespace hd::ingest
