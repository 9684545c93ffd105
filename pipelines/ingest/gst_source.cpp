#include "pipelines/ingest/gst_source.hpp"

#include <fmt/format.h>

#include "pipelines/ingest/rtsp_session.hpp"

namespace hd::ingest {
namespace {

class GstSource final : public Source {
  public:
    GstSource(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
              std::shared_ptr<EncoderDesk> desk)
        : clock_(clock),
          session_(std::make_unique<RtspSession>(settings, clock, ingress, std::move(desk))) {}
    ~GstSource() override { stop(clock_.boot() + std::chrono::seconds(2)).ignore(); }

    Result<void> start() override { return session_->start(); }

    Result<void> stop(BootTime deadline) override {
        if (!session_) return {};
        last_stats_ = session_->stats();
        auto stopped = session_->stop(deadline);
        // Threads that hang may still come back and use the session: it stays in memory then.
        if (stopped)
            session_.reset();
        else
            static_cast<void>(session_.release());
        return stopped;
    }

    SourceStats stats() const override { return session_ ? session_->stats() : last_stats_; }

  private:
    Clock& clock_;
    std::unique_ptr<RtspSession> session_;
    SourceStats last_stats_;
};

}  // namespace

Result<void> init_gstreamer() {
    static const Result<void> result = []() -> Result<void> {
        // The macro of this name compares function and object pointers; NULL means the default log.
        (gst_debug_remove_log_function)(nullptr);
        GError* raw = nullptr;
        if (gst_init_check(nullptr, nullptr, &raw)) {
            gst_debug_set_active(FALSE);
            return {};
        }
        const GErrorPtr error{raw};
        return Error{ErrorCode::unavailable,
                     fmt::format("GStreamer: {}", error ? error->message : "did not start")};
    }();
    return result;
}

std::unique_ptr<Source> make_gst_source(const link::RecorderSettings& settings, Clock& clock,
                                        Ingress& ingress, std::shared_ptr<EncoderDesk> desk) {
    return std::make_unique<GstSource>(settings, clock, ingress, std::move(desk));
}

}  // namespace hd::ingest
