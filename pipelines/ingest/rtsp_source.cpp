// Which reader takes a camera.
#include "pipelines/ingest/gst_source.hpp"
#include "pipelines/ingest/lean_source.hpp"

namespace hd::ingest {

Result<Reader> choose_reader(const link::RecorderSettings& settings) {
    return settings.reader == link::RtspReader::gstreamer ? Reader::gstreamer : Reader::lean;
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

}  // namespace

std::unique_ptr<Source> make_rtsp_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::shared_ptr<EncoderDesk> desk,
                                         std::shared_ptr<Dialer> dialer) {
    desk->begin(settings, clock.boot());
    const auto reader = choose_reader(settings);
    if (!reader) return std::make_unique<Refused>(reader.error());
    if (*reader == Reader::gstreamer)
        return make_gst_source(settings, clock, ingress, std::move(desk));
    return make_lean_source(settings, clock, ingress, std::move(desk), std::move(dialer));
}

}  // namespace hd::ingest
