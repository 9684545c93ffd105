#include "pipelines/ingest/rtsp_session.hpp"

#include <condition_variable>
#include <string_view>

#include <fmt/format.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "pipelines/ingest/branch.hpp"
#include "pipelines/ingest/gst_errors.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

// Between SETUP and the first packet a camera may take its time; only the TEARDOWN is not waited
// for long, because a frozen camera never answers it (measured: 101 ms with this value).
constexpr std::uint64_t kTeardownTimeoutNs = 100'000'000;

std::string_view field(const GstStructure* s, const char* name) {
    const char* value = gst_structure_get_string(s, name);
    return value ? value : "";
}

}  // namespace

Result<void> RtspSession::configure(GstElement* rtspsrc) {
    const std::string& url = settings_.url;
    const std::string_view scheme = std::string_view(url).substr(0, url.find("://"));
    if (scheme != "rtsp" && scheme != "rtsps")
        return Error{ErrorCode::invalid, "url: must begin with rtsp:// or rtsps://"};
    const std::size_t host = scheme.size() + 3;
    if (url.substr(host, url.find('/', host) - host).find('@') != std::string::npos)
        return Error{ErrorCode::invalid, "url: user and password have settings of their own"};

    const auto us = [](Micros m) { return static_cast<guint64>(m.count()); };
    g_object_set(rtspsrc, "location", url.c_str(), "latency",
                 static_cast<guint>(settings_.jitter_latency.count() / 1000), "tcp-timeout",
                 us(settings_.first_frame_timeout), "timeout", us(settings_.first_frame_timeout),
                 "teardown-timeout", kTeardownTimeoutNs, "drop-on-latency", FALSE,
                 "do-retransmission", FALSE, nullptr);
    const bool udp = settings_.transport == link::RtspTransport::udp;
    gst_util_set_object_arg(G_OBJECT(rtspsrc), "protocols", udp ? "udp" : "tcp");
    if (!settings_.user.empty())
        g_object_set(rtspsrc, "user-id", settings_.user.c_str(), "user-pw",
                     settings_.password.c_str(), nullptr);
    g_signal_connect(rtspsrc, "accept-certificate", G_CALLBACK(on_accept_certificate), this);
    g_signal_connect(rtspsrc, "select-stream", G_CALLBACK(on_select_stream), this);
    g_signal_connect(rtspsrc, "pad-added", G_CALLBACK(on_pad_added), this);
    g_signal_connect(rtspsrc, "no-more-pads", G_CALLBACK(on_no_more_pads), this);
    g_signal_connect(rtspsrc, "new-manager", G_CALLBACK(on_new_manager), this);
    return {};
}

Result<void> RtspSession::start() {
    HD_TRY(init_gstreamer());
    GstElementPtr rtspsrc = make_element("rtspsrc");
    if (!rtspsrc)
        return Error{ErrorCode::unavailable,
                     "GStreamer has no rtspsrc (gstreamer1.0-plugins-good)"};
    HD_TRY(configure(rtspsrc.get()));

    GstElement* pipeline = gst_pipeline_new(nullptr);
    gst_object_ref_sink(pipeline);
    pipeline_.reset(pipeline);
    gst_bin_add(GST_BIN(pipeline), rtspsrc.get());
    const GstClockPtr clock{gst_system_clock_obtain()};  // CLOCK_MONOTONIC
    gst_pipeline_use_clock(GST_PIPELINE(pipeline), clock.get());
    const GstBusPtr bus{gst_element_get_bus(pipeline)};
    gst_bus_set_sync_handler(bus.get(), on_message, this, nullptr);
    // A failure here is also a message on the bus, with its reason.
    if (gst_element_set_state(pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        lose({GapCause::unreachable, "the pipeline did not start"});
    return {};
}

// What stop() waits for; shared with a thread that may come back long after everybody left.
struct Stopping {
    std::mutex mutex;
    std::condition_variable done_changed;
    bool done = false;
};

Result<void> RtspSession::stop(BootTime deadline) {
    sink_.close();
    if (encoding_) desk_->ended();
    if (!pipeline_) return {};
    auto state = std::make_shared<Stopping>();
    // set_state(NULL) may hang in a driver or in the network layer, so a thread of GStreamer's own
    // pool does it.
    gst_element_call_async(
        pipeline_.get(),
        [](GstElement* pipeline, gpointer user) {
            // It fails while an element that did not start is on its way out of the pipeline
            // (link_branch, on a thread of the source); then the others were not stopped either.
            constexpr int kTries = 500;
            int tries = 0;
            while (gst_element_set_state(pipeline, GST_STATE_NULL) == GST_STATE_CHANGE_FAILURE) {
                if (++tries == kTries) return;  // as good as hung
                g_usleep(10'000);
            }
            auto& s = **static_cast<std::shared_ptr<Stopping>*>(user);
            const std::lock_guard lock(s.mutex);
            s.done = true;
            s.done_changed.notify_all();
        },
        std::make_unique<std::shared_ptr<Stopping>>(state).release(),
        [](gpointer user) {
            std::default_delete<std::shared_ptr<Stopping>>()(
                static_cast<std::shared_ptr<Stopping>*>(user));
        });
    std::unique_lock lock(state->mutex);
    const Micros patience = std::max(Micros(0), deadline - clock_.boot());
    if (!state->done_changed.wait_for(lock, patience, [&] { return state->done; })) {
        // Its threads may still call us: the whole pipeline is left alone for the process's rest.
        static_cast<void>(pipeline_.release());
        return Error{ErrorCode::unavailable, "the pipeline did not stop before its deadline"};
    }
    pipeline_.reset();
    return {};
}

SourceStats RtspSession::stats() const {
    const auto counts = sink_.counts();
    const std::lock_guard lock(clock_mutex_);
    return {counts.frames, counts.bytes, counts.unusable, camera_clock_.value()};
}

void RtspSession::lose(Lost lost) {
    if (!lost_.exchange(true)) sink_.push(std::move(lost));
}

gboolean RtspSession::on_select_stream(GstElement*, guint, GstCaps* caps, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    const GstStructure* s = gst_caps_get_structure(caps, 0);
    if (field(s, "media") != "video") return FALSE;
    const std::string_view encoding = field(s, "encoding-name");
    if (can_receive(encoding, source.settings_.encode)) return TRUE;
    const std::lock_guard lock(source.clock_mutex_);
    source.offered_ = encoding;
    return FALSE;
}

// The camera's own stream, or one that the hub makes of it: then with an encoder that the desk
// picks.
Result<std::string> RtspSession::plan_branch(std::string_view encoding) {
    const bool coded = encoding == "H264" || encoding == "H265";
    if (!coded) desk_->need(fmt::format("camera sends {}", encoding), clock_.boot());
    if (coded && !desk_->needed()) {
        sink_.set_encoder({"camera", "stream as sent"});
        return keep_branch(encoding);
    }
    const EncoderDesk::Pick pick = desk_->pick(clock_.boot());
    if (pick.element.empty()) return Error{ErrorCode::unavailable, pick.why};
    sink_.set_encoder({pick.element, pick.why});
    hub_encoder_ = std::make_unique<HubEncoder>(pick.element, encoded_rate(settings_), desk_,
                                                clock_, [this](std::string why) {
                                                    lose({GapCause::encoder, std::move(why)});
                                                });
    HD_ASSIGN(const std::string encode, encode_branch(encoding, pick.element, settings_));
    if (!coded) return encode;
    return fmt::format("{} ! {}", encoding == "H265" ? "rtph265depay" : "rtph264depay", encode);
}

Result<void> RtspSession::link_branch(GstPad* pad, std::string_view encoding) {
    HD_ASSIGN(const std::string launch, plan_branch(encoding));
    GError* raw = nullptr;
    GstElement* made = gst_parse_bin_from_description(launch.c_str(), TRUE, &raw);
    const GErrorPtr error{raw};
    if (made) gst_object_ref_sink(made);
    const GstElementPtr bin{made};
    // A missing element is named in GStreamer's own words.
    if (!bin || error) {
        std::string words = error ? error->message : "the pipeline does not link";
        if (hub_encoder_) words = hub_encoder_->blame(words);
        return Error{ErrorCode::unavailable, std::move(words)};
    }
    if (hub_encoder_) {
        hub_encoder_->attach(bin.get());
        encoding_ = hub_encoder_.get();
    }
    const GstElementPtr appsink{gst_bin_get_by_name(GST_BIN(bin.get()), "out")};
    sink_.attach(appsink.get());
    gst_bin_add(GST_BIN(pipeline_.get()), bin.get());
    const GstPadPtr entry{gst_element_get_static_pad(bin.get(), "sink")};
    const bool linked = gst_element_sync_state_with_parent(bin.get()) &&
                        gst_pad_link(pad, entry.get()) == GST_PAD_LINK_OK;
    if (!linked) {
        // An element that did not start must not keep the others from being stopped.
        gst_element_set_state(bin.get(), GST_STATE_NULL);
        gst_bin_remove(GST_BIN(pipeline_.get()), bin.get());
        return Error{ErrorCode::unavailable, "the receiving elements do not start"};
    }
    return {};
}

void RtspSession::on_pad_added(GstElement*, GstPad* pad, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    if (source.connected_.exchange(true)) return;  // One video stream; others stay unlinked.
    const GstCapsPtr caps{gst_pad_get_current_caps(pad)};
    const std::string_view encoding =
        caps ? field(gst_caps_get_structure(caps.get(), 0), "encoding-name") : "";
    source.sink_.push(Connected{});
    AudioFormat sound;
    sound.words = source.settings_.audio == link::AudioMode::off
                      ? "off"
                      : "not recorded: only the lean reader (over TCP) takes sound";
    source.sink_.push(std::move(sound));
    if (auto linked = source.link_branch(pad, encoding); !linked)
        source.lose({GapCause::encoder, linked.error().what});
}

void RtspSession::on_no_more_pads(GstElement*, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    if (source.connected_) return;
    std::string offered;
    {
        const std::lock_guard lock(source.clock_mutex_);
        offered = source.offered_;
    }
    source.lose({GapCause::refused, offered.empty()
                                        ? "camera offers no video"
                                        : fmt::format("camera offers {} only, not H.264 or H.265",
                                                      offered.substr(0, 32))});
}

void RtspSession::on_new_manager(GstElement*, GstElement* manager, gpointer self) {
    g_signal_connect(manager, "new-jitterbuffer", G_CALLBACK(on_new_jitterbuffer), self);
}

void RtspSession::on_new_jitterbuffer(GstElement*, GstElement* jitterbuffer, guint, guint,
                                      gpointer self) {
    g_signal_connect(jitterbuffer, "handle-sync", G_CALLBACK(on_handle_sync), self);
}

// Only for a certificate that no authority vouches for.
gboolean RtspSession::on_accept_certificate(GstElement*, GTlsConnection*, GTlsCertificate* peer,
                                            GTlsCertificateFlags, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    if (source.settings_.tls == link::kTlsAny) return TRUE;
    GByteArray* der = nullptr;
    g_object_get(peer, "certificate", &der, nullptr);
    if (!der) return FALSE;
    const std::string fingerprint =
        std::string(link::kTlsPin) + to_hex(sha256(ByteView(der->data, der->len)));
    g_byte_array_unref(der);
    if (source.settings_.tls == fingerprint) return TRUE;
    const std::lock_guard lock(source.clock_mutex_);
    source.fingerprint_ = fingerprint;
    return FALSE;
}

// The certificate that was not taken is the reason, whatever GStreamer made of it.
Lost RtspSession::refused_certificate(Lost otherwise) {
    const std::lock_guard lock(clock_mutex_);
    if (fingerprint_.empty()) return otherwise;
    return {GapCause::refused, fmt::format("camera's certificate is not trusted; if it is the "
                                           "right one, set tls = \"{}\"",
                                           fingerprint_)};
}

Lost RtspSession::lost_from(GstMessage* error) {
    Lost lost = lost_from_error(error, connected_);
    HubEncoder* encoder = encoding_;
    if (!encoder || !encoder->is_mine(error)) return lost;
    // Which element says it depends on who noticed; the encoder is to blame.
    const std::string prefix = encoder->element() + ": ";
    const bool named = lost.detail.starts_with(prefix);
    return {GapCause::encoder,
            encoder->blame(named ? lost.detail.substr(prefix.size()) : lost.detail)};
}

// On whichever thread posts; nobody reads the bus, so nothing is queued on it.
GstBusSyncReply RtspSession::on_message(GstBus*, GstMessage* message, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        source.lose(source.refused_certificate(source.lost_from(message)));
    // A live camera's stream has no end: it hung up.
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS)
        source.lose({GapCause::closed, "camera ended the stream"});
    gst_message_unref(message);
    return GST_BUS_DROP;
}

}  // namespace hd::ingest
