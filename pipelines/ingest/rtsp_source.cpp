// Which reader takes a camera, and the way from one to the other.
#include <mutex>
#include <optional>

#include "pipelines/ingest/gst_source.hpp"
#include "pipelines/ingest/lean_source.hpp"

namespace hd::ingest {
namespace {

Lost needs_gstreamer() {
    return {journal::GapCause::encoder, "the hub has to encode: another recorder does that",
            Remedy::own_network};
}

// Begins with the lean reader; a camera that offers JPEG only goes on to GStreamer, which decodes
// it and encodes again.
class AutoSource final : public Source {
  public:
    AutoSource(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
               std::shared_ptr<EncoderDesk> desk, std::shared_ptr<Dialer> dialer)
        : settings_(settings),
          clock_(clock),
          ingress_(ingress),
          desk_(std::move(desk)),
          has_dialer_(dialer != nullptr),
          lean_(make_lean_source(
              settings, clock, ingress, [this] { hand_over(); }, std::move(dialer))) {}
    ~AutoSource() override { stop(clock_.boot() + std::chrono::seconds(2)).ignore(); }

    Result<void> start() override { return lean_->start(); }

    Result<void> stop(BootTime deadline) override {
        if (stop_begun()) return {};
        if (auto stopped = lean_->stop(deadline); !stopped) {
            // Its thread may come back and call hand_over(), which then does nothing; but it needs
            // this object, so the caller is told to end the process, and nothing is destroyed.
            static_cast<void>(lean_.release());
            return stopped;
        }
        return gst_ ? gst_->stop(deadline) : Result<void>{};
    }

    SourceStats stats() const override {
        const std::lock_guard lock(mutex_);
        return gst_ ? gst_->stats() : lean_ ? lean_->stats() : SourceStats{};
    }

  private:
    bool stop_begun() {
        const std::lock_guard lock(mutex_);
        return std::exchange(stopping_, true);
    }

    // On the lean reader's thread, as its last act; start() only begins.
    void hand_over() {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        if (has_dialer_) {
            ingress_.push(needs_gstreamer());
            return;
        }
        gst_ = make_gst_source(settings_, clock_, ingress_, desk_);
        if (auto started = gst_->start(); !started)
            ingress_.push(Lost{journal::GapCause::encoder, started.error().what});
    }

    const link::RecorderSettings settings_;
    Clock& clock_;
    Ingress& ingress_;
    const std::shared_ptr<EncoderDesk> desk_;
    const bool has_dialer_;
    std::unique_ptr<Source> lean_;

    mutable std::mutex mutex_;     // Held while gst_ is made. Lock order: before the sources'.
    bool stopping_ = false;        // Guarded by mutex_.
    std::unique_ptr<Source> gst_;  // Set once under mutex_; after stop_begun() never again.
};

}  // namespace

Result<Reader> choose_reader(const link::RecorderSettings& settings) {
    const bool fits =
        settings.transport == link::RtspTransport::tcp && settings.encode != link::EncodeMode::hub;
    switch (settings.reader) {
        case link::RtspReader::gstreamer:
            return Reader::gstreamer;
        case link::RtspReader::automatic:
            return fits ? Reader::lean : Reader::gstreamer;
        case link::RtspReader::lean:
            break;
    }
    if (!fits)
        return Error{ErrorCode::invalid,
                     "rtsp_reader = \"lean\" needs transport = \"tcp\" and no encoding on the hub"};
    return Reader::lean;
}

namespace {

// What cannot be started says so in start(), as every source does.
class Refused final : public Source {
  public:
    explicit Refused(Error error) : error_(std::move(error)) {}
    Result<void> start() override { return error_; }
    Result<void> stop(BootTime) override { return {}; }
    SourceStats stats() const override { return {}; }

  private:
    const Error error_;
};

// For the encoder another process is needed.
class Elsewhere final : public Source {
  public:
    explicit Elsewhere(Ingress& ingress) : ingress_(ingress) {}
    Result<void> start() override {
        ingress_.push(needs_gstreamer());
        return {};
    }
    Result<void> stop(BootTime) override { return {}; }
    SourceStats stats() const override { return {}; }

  private:
    Ingress& ingress_;
};

}  // namespace

std::unique_ptr<Source> make_rtsp_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::shared_ptr<EncoderDesk> desk,
                                         std::shared_ptr<Dialer> dialer) {
    desk->begin(settings, clock.boot());
    const auto reader = choose_reader(settings);
    if (!reader) return std::make_unique<Refused>(reader.error());
    if (*reader == Reader::gstreamer || desk->needed()) {
        if (dialer) return std::make_unique<Elsewhere>(ingress);
        return make_gst_source(settings, clock, ingress, std::move(desk));
    }
    const bool may_encode = settings.reader == link::RtspReader::automatic &&
                            settings.encode != link::EncodeMode::camera;
    if (may_encode)
        return std::make_unique<AutoSource>(settings, clock, ingress, std::move(desk),
                                            std::move(dialer));
    return make_lean_source(settings, clock, ingress, {}, std::move(dialer));
}

}  // namespace hd::ingest
