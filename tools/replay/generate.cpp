#include "tools/replay/generate.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "tools/replay/av_handles.hpp"
#include "tools/replay/picture.hpp"
#include "tools/replay/tone.hpp"

namespace hd::replay {
namespace {

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(at);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

// A whole number in [least, most]; takes it and what precedes `after` off the front of `text`.
bool take_number(std::string_view text, int least, int most, int& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && out >= least && out <= most;
}

bool take_sound(std::string_view text, std::optional<AudioCodec>& out) {
    for (const auto& [name, codec] :
         {std::pair{"aac", AudioCodec::aac}, std::pair{"opus", AudioCodec::opus},
          std::pair{"pcma", AudioCodec::pcma}, std::pair{"pcmu", AudioCodec::pcmu}})
        if (text == name) out = codec;
    return out.has_value();
}

Error recipe_error(std::string_view recipe, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("--generate {}: {}", recipe, rule)};
}

Result<Recipe> parse_recipe(std::string_view text) {
    const auto parts = split(text, ':');
    Recipe r;
    if (parts[0] == "h265")
        r.codec = VideoCodec::h265;
    else if (parts[0] == "mjpeg")
        r.codec = VideoCodec::mjpeg;
    else if (parts[0] != "h264")
        return recipe_error(text, "must begin with h264:, h265: or mjpeg:");
    const std::string_view shape = parts.size() > 1 ? parts[1] : "";
    const std::size_t x = shape.find('x'), at = shape.find('@');
    if (x == std::string_view::npos || at == std::string_view::npos || at < x ||
        !take_number(shape.substr(0, x), 64, 7680, r.width) ||
        !take_number(shape.substr(x + 1, at - x - 1), 64, 4320, r.height) ||
        !take_number(shape.substr(at + 1), 1, 120, r.rate) || r.width % 2 != 0 || r.height % 2 != 0)
        return recipe_error(text,
                            "size must be WIDTHxHEIGHT@RATE, even numbers from 64x64 to 7680x4320, "
                            "rate 1 to 120");
    for (std::size_t i = 2; i < parts.size(); ++i) {
        const auto pair = split(parts[i], '=');
        const std::string_view value = pair.size() == 2 ? pair[1] : "";
        const bool ok = (pair[0] == "gop" && take_number(value, 1, 3000, r.gop)) ||
                        (pair[0] == "kbit" && take_number(value, 16, 100'000, r.kbit)) ||
                        (pair[0] == "bframes" && take_number(value, 0, 4, r.bframes)) ||
                        (pair[0] == "seconds" && take_number(value, 1, 120, r.seconds)) ||
                        (pair[0] == "audio" && take_sound(value, r.audio));
        if (!ok)
            return recipe_error(text,
                                "options are gop=1..3000, kbit=16..100000, bframes=0..4, "
                                "seconds=1..120, audio=aac|opus|pcma|pcmu");
    }
    return r;
}

// Only the standard Huffman tables can be sent over RTP (RFC 2435).
Result<AvCodec> open_mjpeg(const Recipe& r) {
    const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    if (!codec) return Error{ErrorCode::unavailable, "this libavcodec has no MJPEG encoder"};
    AvCodec out{avcodec_alloc_context3(codec)};
    if (!out) return Error{ErrorCode::exhausted, "no memory for an encoder"};
    AVCodecContext& c = *out;
    c.width = r.width;
    c.height = r.height;
    c.pix_fmt = AV_PIX_FMT_YUVJ420P;
    c.time_base = {1, r.rate};
    c.framerate = {r.rate, 1};
    c.flags |= AV_CODEC_FLAG_QSCALE;
    c.global_quality = 5 * FF_QP2LAMBDA;
    AVDictionary* options = nullptr;
    av_dict_set(&options, "huffman", "default", 0);
    const int rc = avcodec_open2(&c, codec, &options);
    av_dict_free(&options);
    if (rc < 0) return av_error(rc, "mjpeg");
    return out;
}

Result<AvCodec> open_encoder(const Recipe& r) {
    if (r.codec == VideoCodec::mjpeg) return open_mjpeg(r);
    const char* name = r.codec == VideoCodec::h264 ? "libx264" : "libx265";
    const AVCodec* codec = avcodec_find_encoder_by_name(name);
    if (!codec)
        return Error{ErrorCode::unavailable, fmt::format("this libavcodec has no {}", name)};
    AvCodec out{avcodec_alloc_context3(codec)};
    if (!out) return Error{ErrorCode::exhausted, "no memory for an encoder"};
    AVCodecContext& c = *out;
    const double usual = 2000.0 * r.width * r.height * r.rate / (1280.0 * 720 * 25);
    const int kbit = r.kbit > 0 ? r.kbit : std::max(64, static_cast<int>(usual));
    c.width = r.width;
    c.height = r.height;
    c.pix_fmt = AV_PIX_FMT_YUV420P;
    c.time_base = {1, r.rate};
    c.framerate = {r.rate, 1};
    c.gop_size = r.gop > 0 ? r.gop : 2 * r.rate;
    c.max_b_frames = r.bframes;
    c.bit_rate = std::int64_t{kbit} * 1000;
    c.rc_max_rate = c.bit_rate * 3 / 2;
    c.rc_buffer_size = kbit * 1000;
    c.thread_count = 2;
    AVDictionary* options = nullptr;
    av_dict_set(&options, "preset", r.codec == VideoCodec::h264 ? "veryfast" : "ultrafast", 0);
    const std::string gop = std::to_string(c.gop_size);
    // A closed GOP of fixed length, key frames as IDR, parameter sets with each of them.
    const std::string x264 =
        fmt::format("scenecut=0:keyint={0}:min-keyint={0}:repeat-headers=1", gop);
    const std::string x265 = fmt::format(
        "log-level=none:scenecut=0:keyint={0}:min-keyint={0}:open-gop=0:"
        "repeat-headers=1:bframes={1}",
        gop, r.bframes);
    av_dict_set(&options, r.codec == VideoCodec::h264 ? "x264-params" : "x265-params",
                (r.codec == VideoCodec::h264 ? x264 : x265).c_str(), 0);
    const int rc = avcodec_open2(&c, codec, &options);
    av_dict_free(&options);
    if (rc < 0) return av_error(rc, name);
    return out;
}

void take_packets(AVCodecContext* encoder, AVPacket* packet, Footage& out,
                  std::vector<std::int64_t>& dts) {
    while (avcodec_receive_packet(encoder, packet) >= 0) {
        const ByteView bytes{packet->data, static_cast<std::size_t>(packet->size)};
        const AccessUnitFacts facts = out.codec == VideoCodec::mjpeg
                                          ? AccessUnitFacts{.first_vcl = bytes.size(),
                                                            .key = true,
                                                            .has_parameter_sets = false}
                                          : inspect(out.codec, bytes);
        const auto us = [&](std::int64_t t) {
            return Micros(av_rescale_q(t, encoder->time_base, AVRational{1, 1'000'000}));
        };
        dts.push_back(us(packet->dts).count());
        out.video.push_back({out.video_bytes.size(),
                             bytes.size(),
                             facts.first_vcl,
                             {},
                             us(packet->pts),
                             facts.key});
        out.video_bytes.insert(out.video_bytes.end(), bytes.begin(), bytes.end());
        av_packet_unref(packet);
    }
}

}  // namespace

Result<std::vector<Recipe>> parse_recipes(std::string_view text) {
    std::vector<Recipe> out;
    for (const std::string_view part : split(text, ',')) {
        HD_ASSIGN(auto recipe, parse_recipe(part));
        out.push_back(recipe);
    }
    return out;
}

Result<Footage> generate_footage(const Recipe& r, std::string name) {
    av_log_set_level(AV_LOG_FATAL);
    HD_ASSIGN(const AvCodec encoder, open_encoder(r));
    const AvFramePtr frame{av_frame_alloc()};
    const AvPacketPtr packet{av_packet_alloc()};
    if (!frame || !packet) return Error{ErrorCode::exhausted, "no memory for a frame"};
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = r.width;
    frame->height = r.height;

    Footage out;
    out.name = std::move(name);
    out.origin = fmt::format("generated {}x{} at {} fps", r.width, r.height, r.rate);
    out.codec = r.codec;
    out.width = r.width;
    out.height = r.height;
    std::vector<std::int64_t> dts;
    const int total = r.rate * r.seconds;
    for (int i = 0; i < total; ++i) {
        av_frame_unref(frame.get());
        frame->format = encoder->pix_fmt;
        frame->width = r.width;
        frame->height = r.height;
        if (const int rc = av_frame_get_buffer(frame.get(), 0); rc < 0)
            return av_error(rc, "picture buffer");
        draw({r.width, r.height, frame->data[0], frame->linesize[0], frame->data[1], frame->data[2],
              frame->linesize[1]},
             i, total);
        frame->pts = i;
        frame->quality = encoder->global_quality;
        if (const int rc = avcodec_send_frame(encoder.get(), frame.get()); rc < 0)
            return av_error(rc, "encode");
        take_packets(encoder.get(), packet.get(), out, dts);
    }
    avcodec_send_frame(encoder.get(), nullptr);
    take_packets(encoder.get(), packet.get(), out, dts);
    if (out.video.empty() || !out.video.front().key)
        return Error{ErrorCode::unavailable, "the encoder gave no key frame"};
    for (std::size_t i = 0; i < dts.size(); ++i) {
        out.video[i].dts = Micros(dts[i] - dts[0]);
        out.video[i].pts = out.video[i].pts - Micros(dts[0]);
    }
    out.length = Micros(std::int64_t{1'000'000} * total / r.rate);
    if (r.audio) {
        HD_ASSIGN(out.audio, make_tone(*r.audio, out.length));
    }
    return out;
}

}  // namespace hd::replay
