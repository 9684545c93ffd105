// The RTSP 1.0 conversation with a camera for one video stream, and its sound if there is some that
// can be recorded, interleaved or over UDP: OPTIONS, DESCRIBE, SETUP, PLAY, then signs of life, at
// last TEARDOWN. A camera that does not give its sound gives its video all the same. Decides only:
// the caller moves the bytes and the time. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/time.hpp"
#include "pipelines/ingest/audio_payload.hpp"
#include "pipelines/ingest/frame.hpp"
#include "pipelines/ingest/rtsp_auth.hpp"
#include "pipelines/ingest/rtsp_transport.hpp"
#include "pipelines/ingest/sdp.hpp"

namespace hd::ingest {

// The stream that was set up.
struct RtspStream {
    Codec codec = Codec::h264;
    SdpMedia media;
    bool is_jpeg() const { return media.encoding == "JPEG"; }  // `codec` says nothing then
    std::uint8_t rtp_channel = 0, rtcp_channel = 1;
    // Set: it comes by UDP, from these ports; a camera that was asked for UDP may send interleaved
    // all the same.
    std::optional<CameraPorts> udp;
    std::string source;  // from where the camera says that it sends, if it says so
};

// Its sound, if the camera gave it.
struct RtspAudio {
    AudioPayload payload;
    std::uint8_t rtp_channel = 2;
    std::optional<CameraPorts> udp;
};

class RtspClient {
  public:
    enum class Sound { ask, leave };  // leave: the camera is not asked for it
    // take: JPEG, if the camera offers neither H.264 nor H.265.
    enum class Jpeg { take, refuse };
    RtspClient(std::string url, std::string user, std::string password, Sound sound = Sound::leave,
               Jpeg jpeg = Jpeg::refuse);

    enum class Phase { asking, playing, ended };
    Phase phase() const { return phase_; }

    // What has to be sent now; empties the store.
    std::string take_output() { return std::exchange(output_, {}); }

    // The even ones of our pairs. Before start(), for each connection: the camera is asked for UDP.
    struct OurPorts {
        std::uint16_t video = 0, audio = 0;
    };
    void use_udp(OurPorts ports) { our_ports_ = ports; }

    void start();  // once for each connection
    // For another connection, after one that ended when the sound was asked for.
    void begin_again_without_audio();
    // A response, or a request of the camera.
    void take(const RtspMessage& message, BootTime now);
    // Call now and then; asks for a sign of life when it is due.
    void tick(BootTime now);
    void teardown();  // best effort: no answer is waited for

    // Why it ended, if the camera said no. After this nothing more comes.
    const std::optional<Lost>& lost() const { return lost_; }
    // From the answer to SETUP on: packets may come before the answer to PLAY does.
    const std::optional<RtspStream>& stream() const { return stream_; }
    // Set up beside the video. Nothing: audio_words() say why.
    const std::optional<RtspAudio>& audio() const { return audio_; }
    const std::string& audio_words() const { return audio_words_; }
    // The camera was asked for its sound and has not answered.
    bool waits_for_audio() const { return step_ == Step::setup_audio; }

  private:
    enum class Step { none, options, describe, setup, setup_audio, play, alive };
    void ask(Step step);
    void send();
    void respond(const RtspMessage& request);
    void failed(const RtspMessage& response);
    void end(journal::GapCause cause, std::string detail);
    void take_description(const RtspMessage& response);
    void take_setup(const RtspMessage& response);
    void take_audio_setup(const RtspMessage& response);
    void leave_audio(std::string words);
    void take_session(const RtspMessage& response);

    const std::string url_;
    RtspAuth auth_;
    std::string output_;

    Phase phase_ = Phase::asking;
    Step step_ = Step::none;  // what is asked and not answered yet
    unsigned tries_ = 0;      // of this step with an answer to a challenge
    std::uint32_t cseq_ = 0;
    std::optional<Lost> lost_;

    std::string session_;
    Micros session_timeout_ = std::chrono::seconds(60);
    bool has_get_parameter_ = false;
    std::optional<BootTime> next_alive_;
    std::string play_url_, setup_url_;
    std::optional<OurPorts> our_ports_;
    std::optional<RtspStream> stream_;

    Sound sound_;
    const Jpeg jpeg_;
    std::optional<RtspAudio> audio_;
    std::string audio_words_ = "off";
    std::string audio_setup_url_;
    std::optional<BootTime> audio_until_;  // an answer that comes later is not waited for
};

}  // namespace hd::ingest
