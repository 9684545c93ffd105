#include "pipelines/ingest/rtsp_client.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

// A nonce may expire between two tries; more than that is a camera that does not want us.
constexpr unsigned kMaxTries = 3;
constexpr std::size_t kMaxSession = 256;
// The video waits for no longer than this until the camera has said what it does about its sound.
constexpr Micros kAudioPatience = std::chrono::seconds(2);
constexpr std::uint32_t kDefaultRate = 90'000;  // RFC 6184, RFC 7798, RFC 2435: always

struct Answer {
    int status;
    GapCause cause;
    const char* words;
};
constexpr std::array kAnswers{
    Answer{401, GapCause::refused, "camera refused user or password (401)"},
    Answer{403, GapCause::refused, "camera forbids this stream to this user (403)"},
    Answer{404, GapCause::refused, "camera has no such stream (404)"},
    Answer{454, GapCause::refused, "camera lost the session (454)"},
    Answer{453, GapCause::refused, "camera has not enough bandwidth for one more client (453)"},
    Answer{503, GapCause::unreachable, "camera is busy (503)"},
};

std::string client_nonce() {
    std::array<std::uint8_t, 8> random{};
    random_bytes(random);
    return to_hex(random);
}

// The first that can be kept as it is, else the first of JPEG.
const SdpMedia* choose_video(const Sdp& sdp, bool take_jpeg) {
    const SdpMedia* jpeg = nullptr;
    for (const SdpMedia& media : sdp.media) {
        if (media.kind != "video" || !media.payload_type) continue;
        if (media.encoding == "H264" || media.encoding == "H265") return &media;
        if (media.encoding == "JPEG" && !jpeg) jpeg = &media;
    }
    return take_jpeg ? jpeg : nullptr;
}

// Printable ASCII of a camera's words, short: they end up in a log and in a journal.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 32))
        out.push_back(c >= ' ' && c < 0x7f && c != '"' ? c : '?');
    return out;
}

}  // namespace

RtspClient::RtspClient(std::string url, std::string user, std::string password, Sound sound,
                       Jpeg jpeg)
    : url_(std::move(url)),
      auth_(std::move(user), std::move(password)),
      sound_(sound),
      jpeg_(jpeg) {}

void RtspClient::start() { ask(Step::options); }

void RtspClient::begin_again_without_audio() {
    output_.clear();
    phase_ = Phase::asking;
    step_ = Step::none;
    lost_.reset();
    session_.clear();
    next_alive_.reset();
    stream_.reset();
    audio_.reset();
    sound_ = Sound::leave;
    audio_words_ = "not recorded: the camera hung up when asked for it";
}

void RtspClient::ask(Step step) {
    step_ = step;
    tries_ = 0;
    send();
}

void RtspClient::send() {
    std::vector<RtspHeader> headers{{"CSeq", std::to_string(++cseq_)},
                                    {"User-Agent", "halfdoor/" HALFDOOR_VERSION}};
    std::string_view method = "OPTIONS";
    std::string uri = url_;
    const auto ask_for = [&](std::uint16_t port, std::uint8_t channel) {
        headers.push_back(
            {"Transport", our_ports_ ? ask_for_ports(port) : ask_for_channels(channel)});
    };
    const OurPorts ports = our_ports_.value_or(OurPorts{});
    if (step_ == Step::describe) {
        method = "DESCRIBE";
        headers.push_back({"Accept", "application/sdp"});
    } else if (step_ == Step::setup) {
        method = "SETUP";
        uri = setup_url_;
        ask_for(ports.video, RtspStream{}.rtp_channel);
    } else if (step_ == Step::setup_audio) {
        method = "SETUP";
        uri = audio_setup_url_;
        ask_for(ports.audio, RtspAudio{}.rtp_channel);
    } else if (step_ == Step::play) {
        method = "PLAY";
        uri = play_url_;
        headers.push_back({"Range", "npt=0.000-"});
    } else if (step_ == Step::alive) {
        method = has_get_parameter_ ? "GET_PARAMETER" : "OPTIONS";
        uri = play_url_;
    } else if (step_ == Step::none) {
        method = "TEARDOWN";
        uri = play_url_;
    }
    if (!session_.empty()) headers.push_back({"Session", session_});
    if (const auto value = auth_.header(method, uri, client_nonce()))
        headers.push_back({"Authorization", *value});
    output_ += format_request(method, uri, headers);
}

void RtspClient::teardown() {
    if (session_.empty() || phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    step_ = Step::none;
    send();
}

void RtspClient::leave_audio(std::string words) {
    audio_.reset();
    audio_words_ = std::move(words);
    ask(Step::play);
}

void RtspClient::tick(BootTime now) {
    if (step_ == Step::setup_audio) {
        if (!audio_until_) audio_until_ = now + kAudioPatience;
        if (now >= *audio_until_) leave_audio("not recorded: the camera did not answer for it");
    }
    if (phase_ != Phase::playing || !next_alive_ || now < *next_alive_) return;
    // Two in a row without an answer are no reason to hang up: frames tell whether it lives.
    next_alive_ = now + session_timeout_ / 2;
    ask(Step::alive);
}

void RtspClient::end(GapCause cause, std::string detail) {
    if (phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    lost_ = Lost{cause, std::move(detail)};
}

// A camera may ask us too (OPTIONS, SET_PARAMETER, ANNOUNCE, REDIRECT); it gets an answer.
void RtspClient::respond(const RtspMessage& request) {
    std::string cseq;
    for (const char c : request.header("CSeq").value_or("0").substr(0, 10))
        if (c >= '0' && c <= '9') cseq.push_back(c);
    const bool known = request.method == "OPTIONS" || request.method == "GET_PARAMETER";
    // Bounded: a camera that only asks and never reads is hung up on by the caller's output limit.
    output_ += fmt::format("RTSP/1.0 {}\r\nCSeq: {}\r\n\r\n",
                           known ? "200 OK" : "501 Not Implemented", cseq);
}

void RtspClient::failed(const RtspMessage& response) {
    if (response.status == 401 && tries_ < kMaxTries && auth_.challenged(response)) {
        ++tries_;
        send();
        return;
    }
    if (step_ == Step::setup_audio)
        return leave_audio(
            fmt::format("not recorded: the camera refused it ({})", response.status));
    const bool fatal_for_alive = response.status == 454 || response.status == 401;
    if (step_ == Step::alive && !fatal_for_alive) {
        has_get_parameter_ = false;  // OPTIONS is taken by every camera.
        step_ = Step::none;
        return;
    }
    // Not all cameras know OPTIONS.
    if (step_ == Step::options && response.status != 401) return ask(Step::describe);
    if (response.status == 461)
        return end(GapCause::refused,
                   fmt::format("camera does not offer this transport (461): set transport = \"{}\"",
                               our_ports_ ? "tcp" : "udp"));
    for (const Answer& a : kAnswers)
        if (a.status == response.status) return end(a.cause, a.words);
    end(GapCause::refused,
        fmt::format("camera answered {} {}", response.status, printable(response.reason)));
}

void RtspClient::take(const RtspMessage& m, BootTime now) {
    if (!m.method.empty()) return respond(m);
    if (phase_ == Phase::ended || step_ == Step::none || m.status < 200) return;
    if (const auto cseq = m.header("CSeq")) {
        std::uint32_t number = 0;
        const auto [end, error] =
            std::from_chars(cseq->data(), cseq->data() + cseq->size(), number);
        if (error == std::errc{} && number != cseq_) return;  // Of a request given up on.
    }
    if (m.status >= 300) return failed(m);
    switch (step_) {
        case Step::options:
            if (const auto methods = m.header("Public"))
                has_get_parameter_ = methods->find("GET_PARAMETER") != std::string_view::npos;
            return ask(Step::describe);
        case Step::describe:
            return take_description(m);
        case Step::setup:
            return take_setup(m);
        case Step::setup_audio:
            return take_audio_setup(m);
        case Step::play:
            take_session(m);
            phase_ = Phase::playing;
            next_alive_ = now + session_timeout_ / 2;
            break;
        case Step::alive:
        case Step::none:
            break;
    }
    step_ = Step::none;
}

void RtspClient::take_description(const RtspMessage& m) {
    auto sdp = parse_sdp(m.body);
    if (!sdp) return end(GapCause::refused, "camera describes no video");
    std::string_view base;
    for (const char* name : {"Content-Base", "Content-Location"})
        if (base.empty()) base = m.header(name).value_or("");
    std::string offered;
    for (const SdpMedia& media : sdp->media)
        if (media.kind == "video") offered = media.encoding;
    const SdpMedia* media = choose_video(*sdp, jpeg_ == Jpeg::take);
    if (!media)
        return end(GapCause::refused, offered.empty()
                                          ? "camera offers no video"
                                          : fmt::format("camera offers {} only, not H.264 or H.265",
                                                        printable(offered)));
    stream_.emplace();
    stream_->codec = media->encoding == "H265" ? Codec::h265 : Codec::h264;
    stream_->media = *media;
    if (stream_->media.clock_rate == 0) stream_->media.clock_rate = kDefaultRate;
    setup_url_ = control_url(url_, base, stream_->media.control);
    play_url_ = control_url(url_, base, sdp->control);
    if (sound_ == Sound::ask) {
        const auto chosen = choose_audio(*sdp);
        audio_words_ = chosen ? chosen->payload.format.words : "the camera offers none";
        if (chosen && chosen->payload.format.codec != AudioCodec::none) {
            audio_ = RtspAudio{chosen->payload};
            audio_setup_url_ = control_url(url_, base, chosen->media.control);
        }
    }
    ask(Step::setup);
}

void RtspClient::take_session(const RtspMessage& m) {
    const auto value = m.header("Session");
    if (!value) return;
    const std::string_view id = trimmed(value->substr(0, value->find(';')));
    if (session_.empty()) session_ = id.substr(0, kMaxSession);
    const auto timeout = parameter(*value, "timeout", ';');
    unsigned seconds = 0;
    if (timeout) std::from_chars(timeout->data(), timeout->data() + timeout->size(), seconds);
    if (seconds > 0) session_timeout_ = std::chrono::seconds(std::clamp(seconds, 4u, 120u));
}

void RtspClient::take_setup(const RtspMessage& m) {
    take_session(m);
    auto answer = parse_transport(m.header("Transport").value_or(""));
    if (answer.multicast)
        return end(GapCause::refused,
                   "camera does not offer this transport (it sends to a multicast group)");
    if (answer.channels) {
        stream_->rtp_channel = answer.channels->rtp;
        stream_->rtcp_channel = answer.channels->rtcp;
    } else if (our_ports_) {
        stream_->udp = answer.server.value_or(CameraPorts{});
        stream_->source = std::move(answer.source);
    } else if (answer.server) {
        return end(GapCause::refused,
                   "camera does not offer this transport (it wants UDP): set transport = \"udp\"");
    }
    ask(audio_ ? Step::setup_audio : Step::play);
}

void RtspClient::take_audio_setup(const RtspMessage& m) {
    const auto answer = parse_transport(m.header("Transport").value_or(""));
    if (answer.multicast)
        return leave_audio("not recorded: the camera sends it to a multicast group");
    if (answer.channels)
        audio_->rtp_channel = answer.channels->rtp;
    else if (our_ports_)
        audio_->udp = answer.server.value_or(CameraPorts{});
    else if (answer.server)
        return leave_audio("not recorded: the camera wants UDP for it");
    ask(Step::play);
}

}  // namespace hd::ingest
