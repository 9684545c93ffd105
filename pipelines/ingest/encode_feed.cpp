#include "pipelines/ingest/encode_feed.hpp"

#include <fmt/format.h>
#include <gst/app/gstappsrc.h>
#include <pthread.h>

#include "pipelines/ingest/branch.hpp"
#include "pipelines/ingest/gst_start.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

// The pipeline takes what it is given at once, up to here, unless something in it hangs.
constexpr guint64 kMaxInside = 4 << 20;
constexpr std::chrono::milliseconds kLookAgain{20};

// `owner` lives as long as the buffer.
GstBuffer* wrapped(ByteView bytes, std::shared_ptr<const void> owner) {
    auto* kept = std::make_unique<std::shared_ptr<const void>>(std::move(owner)).release();
    return gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY,
                                       const_cast<std::uint8_t*>(bytes.data()), bytes.size(), 0,
                                       bytes.size(), kept, [](gpointer user) {
                                           std::default_delete<std::shared_ptr<const void>>()(
                                               static_cast<std::shared_ptr<const void>*>(user));
                                       });
}

GstCapsPtr packet_caps(const SdpMedia& media) {
    std::string words =
        "application/x-rtp,media=video,encoding-name=JPEG,clock-rate=90000,payload=26";
    if (media.frame_rate > 0)
        words += fmt::format(",a-framerate=(string)\"{:.4g}\"", media.frame_rate);
    if (!media.dimensions.empty())
        words += fmt::format(",x-dimensions=(string)\"{}\"", media.dimensions);
    return GstCapsPtr{gst_caps_from_string(words.c_str())};
}

GstCapsPtr coded_caps(const StreamFormat& format) {
    const bool h265 = format.codec == Codec::h265;
    GstBuffer* config =
        gst_buffer_new_memdup(format.codec_config.data(), format.codec_config.size());
    GstCapsPtr caps{gst_caps_new_simple(h265 ? "video/x-h265" : "video/x-h264", "stream-format",
                                        G_TYPE_STRING, h265 ? "hvc1" : "avc", "alignment",
                                        G_TYPE_STRING, "au", "codec_data", GST_TYPE_BUFFER, config,
                                        nullptr)};
    gst_buffer_unref(config);
    return caps;
}

// What kind of element says it; empty if it is none.
std::string factory_of(GstMessage* message) {
    GstObject* source = GST_MESSAGE_SRC(message);
    GstElementFactory* factory =
        source && GST_IS_ELEMENT(source) ? gst_element_get_factory(GST_ELEMENT(source)) : nullptr;
    return factory ? GST_OBJECT_NAME(factory) : "";
}

}  // namespace

EncodeFeed::EncodeFeed(const link::RecorderSettings& settings, std::shared_ptr<EncoderDesk> desk,
                       Clock& clock, Listener listener)
    : settings_(settings),
      desk_(std::move(desk)),
      clock_(clock),
      listener_(std::move(listener)),
      sink_(listener_.push) {}

void EncodeFeed::begin(const SdpMedia& media) {
    media_ = media;
    const EncoderDesk::Pick pick = desk_->pick(clock_.boot());
    if (pick.element.empty()) return listener_.lose({GapCause::encoder, pick.why});
    sink_.set_encoder({pick.element, pick.why});
    encoder_ = std::make_unique<HubEncoder>(pick.element, encoded_rate(settings_), desk_, clock_,
                                            [this](std::string why) {
                                                listener_.lose({GapCause::encoder, std::move(why)});
                                            });
    open_ = true;
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "encode");
        run();
    });
}

void EncodeFeed::stop() {
    {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }
    changed_.notify_all();
    sink_.close();
    if (!thread_.joinable()) return;
    desk_->ended();
    thread_.join();
}

void EncodeFeed::take(const StreamFormat& format) {
    skipping_ = false;
    offer({format, clock_.boot(), format.codec_config.size()}, {}, true);
}

void EncodeFeed::take(const Frame& frame) {
    offer({frame, clock_.boot(), frame.bytes.size()}, frame.pts, frame.key());
}

void EncodeFeed::take_packet(ByteView packet, BootTime pts) {
    // The depayloader leaves out a picture of which a packet is missing.
    offer({Packet{{packet.begin(), packet.end()}, pts}, clock_.boot(), packet.size()}, pts, true);
}

void EncodeFeed::offer(Item item, BootTime pts, bool entry) {
    Micros stands{0};
    {
        const std::lock_guard lock(mutex_);
        if (!open_) return;
        if (!queue_.empty()) stands = item.since - queue_.front().since;
        const bool fits = waiting_ + item.bytes <= kMaxWaiting;
        skipping_ = !fits || (skipping_ && !entry);
        if (!skipping_) {
            waiting_ += item.bytes;
            queue_.push_back(std::move(item));
        }
    }
    changed_.notify_one();
    if (skipping_ && left_out_ != pts) {
        left_out_ = pts;
        desk_->left_out(1);
    }
    if (stands <= kPatience || std::exchange(hangs_, true)) return;
    listener_.lose({GapCause::encoder,
                    encoder_->blame(fmt::format("hangs for {} ms", stands.count() / 1000))});
}

void EncodeFeed::run() {
    if (auto built = build(); !built)
        listener_.lose({GapCause::encoder, built.error().what});
    else
        feed();
    if (!pipeline_) return;
    // Fails while the pipeline is on its way up, which an error of an element can cause.
    constexpr int kTries = 500;
    for (int i = 0; i < kTries; ++i) {
        if (gst_element_set_state(pipeline_.get(), GST_STATE_NULL) != GST_STATE_CHANGE_FAILURE)
            break;
        g_usleep(10'000);
    }
    entry_.reset();
    pipeline_.reset();
}

Result<void> EncodeFeed::build() {
    HD_TRY(init_gstreamer());
    HD_ASSIGN(const std::string launch,
              encode_branch(media_.encoding, encoder_->element(), settings_));
    entry_ = make_element("appsrc");
    if (!entry_)
        return Error{ErrorCode::unavailable, "GStreamer has no appsrc (gstreamer1.0-plugins-base)"};
    GError* raw = nullptr;
    GstElement* made = gst_parse_bin_from_description(launch.c_str(), TRUE, &raw);
    const GErrorPtr error{raw};
    if (made) gst_object_ref_sink(made);
    const GstElementPtr bin{made};
    // A missing element is named in GStreamer's own words.
    if (!bin || error)
        return Error{ErrorCode::unavailable,
                     encoder_->blame(error ? error->message : "the pipeline does not link")};
    encoder_->attach(bin.get());
    const GstElementPtr appsink{gst_bin_get_by_name(GST_BIN(bin.get()), kSinkName)};
    sink_.attach(appsink.get());

    // Live: then decoders hold no pictures back.
    g_object_set(entry_.get(), "format", GST_FORMAT_TIME, "is-live", TRUE, "block", FALSE,
                 "max-bytes", kMaxInside, nullptr);
    if (media_.encoding == "JPEG") {
        const GstCapsPtr caps = packet_caps(media_);
        gst_app_src_set_caps(GST_APP_SRC(entry_.get()), caps.get());
    }
    GstElement* pipeline = gst_pipeline_new(nullptr);
    gst_object_ref_sink(pipeline);
    pipeline_.reset(pipeline);
    gst_bin_add_many(GST_BIN(pipeline), entry_.get(), bin.get(), nullptr);
    const GstBusPtr bus{gst_element_get_bus(pipeline)};
    gst_bus_set_sync_handler(bus.get(), on_message, this, nullptr);
    // A failure here is also a message on the bus, with its reason.
    if (!gst_element_link(entry_.get(), bin.get()) ||
        gst_element_set_state(pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        return Error{ErrorCode::unavailable, "the encoding elements do not start"};
    return {};
}

void EncodeFeed::feed() {
    while (const auto item = next())
        std::visit([this](const auto& what) { push(what); }, item->what);
}

// Nothing: it is over.
std::optional<EncodeFeed::Item> EncodeFeed::next() {
    std::unique_lock lock(mutex_);
    while (open_) {
        if (queue_.empty()) {
            changed_.wait(lock);
            continue;
        }
        if (gst_app_src_get_current_level_bytes(GST_APP_SRC(entry_.get())) >= kMaxInside) {
            changed_.wait_for(lock, kLookAgain);
            continue;
        }
        std::optional<Item> item(std::move(queue_.front()));
        queue_.pop_front();
        waiting_ -= item->bytes;
        return item;
    }
    return std::nullopt;
}

void EncodeFeed::push(const StreamFormat& format) {
    const GstCapsPtr caps = coded_caps(format);
    gst_app_src_set_caps(GST_APP_SRC(entry_.get()), caps.get());
}

void EncodeFeed::push(const Frame& frame) {
    GstBuffer* buffer = wrapped(frame.bytes, frame.owner);
    if (!frame.key()) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    push_buffer(buffer, frame.pts, frame.dts);
}

void EncodeFeed::push(const Packet& packet) {
    push_buffer(gst_buffer_new_memdup(packet.bytes.data(), packet.bytes.size()), packet.pts,
                packet.pts);
}

void EncodeFeed::push_buffer(GstBuffer* buffer, BootTime pts, BootTime dts) {
    if (!base_) {
        base_ = pts;
        sink_.set_base(pts);
    }
    const auto running = [this](BootTime t) {
        return static_cast<GstClockTime>(std::max<std::int64_t>(0, (t - *base_).count())) * 1000;
    };
    GST_BUFFER_PTS(buffer) = running(pts);
    GST_BUFFER_DTS(buffer) = running(dts);
    gst_app_src_push_buffer(GST_APP_SRC(entry_.get()), buffer);  // Takes the buffer.
}

// The debug text, which may hold more than what is for logs, stays here.
Lost EncodeFeed::lost_from(GstMessage* message) {
    GError* raw = nullptr;
    gst_message_parse_error(message, &raw, nullptr);
    const GErrorPtr error{raw};
    const std::string who = factory_of(message);
    std::string words = error->message;
    if (!who.empty() && who != encoder_->element()) words = fmt::format("{}: {}", who, words);
    // Which element says it depends on who noticed; the encoder is to blame.
    if (encoder_->is_mine(message)) words = encoder_->blame(words);
    return {GapCause::encoder, std::move(words)};
}

// On whichever thread posts; nobody reads the bus, so nothing is queued on it.
GstBusSyncReply EncodeFeed::on_message(GstBus*, GstMessage* message, gpointer self) {
    auto& feed = *static_cast<EncodeFeed*>(self);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        feed.listener_.lose(feed.lost_from(message));
    gst_message_unref(message);
    return GST_BUS_DROP;
}

}  // namespace hd::ingest
