// One RTSP session with one camera: connects, receives H.264 or H.265, tells an Ingress. It never
// reconnects by itself; after Lost, or when the recorder's watchdog finds no frames (a silent open
// TCP connection gives no error), stop it and make a new one (pipelines/ingest/reconnect.hpp says
// when).
#pragma once

#include <memory>
#include <optional>

#include "index/base/clock.hpp"
#include "pipelines/ingest/dialer.hpp"
#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/ingress.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {

// The camera's clock against the hub's, from RTCP sender reports. A fact to record, never to order
// by.
struct CameraClock {
    Micros offset{0};  // camera UTC minus hub UTC, the median over the reports
    Micros spread{0};  // half of the middle half of the samples: how sure that is
    std::uint32_t reports = 0;
    std::uint32_t jumps = 0;  // reports that were over 1 s away from the one before
};

struct SourceStats {
    std::uint64_t frames = 0;           // offered to the ingress
    std::uint64_t bytes = 0;            // of them
    std::uint64_t unusable_frames = 0;  // without a time, or before the first parameter sets
    std::optional<CameraClock> camera_clock;
};

class Source {
  public:
    // Stops if nobody did, for at most 2 s; what hangs longer is leaked.
    virtual ~Source() = default;

    // Begins to connect and returns; everything else arrives through the ingress. Fails with
    // `invalid` (settings). Once only.
    virtual Result<void> start() = 0;

    // Ends the session and waits until `deadline` for its threads. Nothing enters the ingress after
    // it returned. `unavailable`: a driver or the resolver of host names hangs; its thread and
    // memory are left behind, so the process has to end soon.
    virtual Result<void> stop(BootTime deadline) = 0;

    // On the thread that calls start() and stop().
    virtual SourceStats stats() const = 0;
};

// `clock` and `ingress` must outlive the source; `desk` goes from one session to the next. If it
// says that the hub has to encode, or the camera sends JPEG, the video is decoded and encoded
// again. With a `dialer` all connections come from there.
std::unique_ptr<Source> make_rtsp_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::shared_ptr<EncoderDesk> desk,
                                         std::shared_ptr<Dialer> dialer = nullptr);

}  // namespace hd::ingest
