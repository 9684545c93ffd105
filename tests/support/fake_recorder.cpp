// A recorder without GStreamer, for the daemon's tests: speaks the link protocol, takes the
// camera's lock, writes real clip files with sealed noise for video, and journals like the real
// one. Its behaviour is in the camera's URL: rtsp://fake/piece_ms=50/pieces=10/crash_after=7/...
//   piece_ms     time between pieces (default 50)
//   pieces       media pieces per clip (default 20)
//   bytes        size of a piece's noise (default 0)
//   crash_after  abort() after so many media pieces of this process (default 0: never)
//   mute         1: never says anything after Hello (default 0)
//   deaf         1: ignores Stop and SIGTERM (default 0)
//   state        unreachable: never records, only says so
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "index/base/clock.hpp"
#include "index/base/crypto.hpp"
#include "index/base/files.hpp"
#include "index/clip/clip_writer.hpp"
#include "index/journal/camera_journal.hpp"
#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/link/link_socket.hpp"

namespace {

using namespace hd;

volatile sig_atomic_t g_term = 0;

struct Behaviour {
    std::int64_t piece_ms = 50;
    std::int64_t pieces = 20;
    std::int64_t bytes = 0;
    std::int64_t crash_after = 0;
    bool mute = false;
    bool deaf = false;
    bool unreachable = false;
};

Behaviour behaviour_of(std::string_view url) {
    Behaviour b;
    while (!url.empty()) {
        const auto slash = url.find('/');
        const std::string_view part = url.substr(0, slash);
        url = slash == std::string_view::npos ? std::string_view{} : url.substr(slash + 1);
        const auto equals = part.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view key = part.substr(0, equals);
        const std::string_view text = part.substr(equals + 1);
        std::int64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        if (key == "piece_ms") b.piece_ms = value;
        if (key == "pieces") b.pieces = value;
        if (key == "bytes") b.bytes = value;
        if (key == "crash_after") b.crash_after = value;
        if (key == "mute") b.mute = value != 0;
        if (key == "deaf") b.deaf = value != 0;
        if (key == "state") b.unreachable = text == "unreachable";
    }
    return b;
}

journal::Stamp now_stamp() {
    Clock& clock = system_clock();
    const BootTime at = clock.boot();
    return {.boot = clock.boot_id(),
            .at = at,
            .utc = WallTime{at.us + wall_minus_boot(clock).count()},
            .quality = clock.quality()};
}

class FakeRecorder {
  public:
    FakeRecorder(std::string link_path, CameraId camera)
        : link_path_(std::move(link_path)), camera_(camera) {}

    int run() {
        if (!take_lock()) return 75;
        run_ = random_run_id();
        next_piece_ = system_clock().boot();
        while (true) {
            stay_connected();
            if (!listen_until(next_piece_)) break;
            if (g_term != 0 && !behaviour_.deaf) {
                stop("SIGTERM");
                break;
            }
            if (settings_ && !behaviour_.mute && !behaviour_.unreachable) {
                if (!record_piece()) return 1;
            }
            next_piece_ = system_clock().boot() + Micros(behaviour_.piece_ms * 1000);
        }
        return 0;
    }

  private:
    bool take_lock() {
        const std::string path =
            join(parent_folder(link_path_), "recorder-" + to_string(camera_) + ".lock");
        lock_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        return lock_ && ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0;
    }

    void say(const link::Message& message) {
        if (channel_ && channel_->send(message) == link::LinkChannel::Sent::closed) {
            channel_.reset();
        }
    }

    void stay_connected() {
        const BootTime now = system_clock().boot();
        if (channel_ || now < next_connect_) return;
        next_connect_ = now + std::chrono::milliseconds(200);
        auto channel = link::LinkChannel::connect(link_path_);
        if (!channel) return;
        channel_.emplace(std::move(*channel));
        say(link::Hello{.camera = camera_,
                        .pid = static_cast<std::uint32_t>(::getpid()),
                        .has_settings = settings_.has_value(),
                        .settings = settings_ ? link::settings_hash(*settings_) : Digest{}});
        if (settings_) say_state();
    }

    void say_state() {
        say(link::StateChanged{.state = behaviour_.unreachable ? link::CameraState::unreachable
                                                               : link::CameraState::recording,
                               .detail = "",
                               .encoder = "camera",
                               .encoder_why = "fake"});
    }

    // False: asked to stop.
    bool listen_until(BootTime until) {
        while (true) {
            const std::int64_t left_ms = (until - system_clock().boot()).count() / 1000;
            if (left_ms <= 0) return true;
            pollfd wait{.fd = channel_ ? channel_->fd() : -1, .events = POLLIN, .revents = 0};
            if (::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left_ms, 50))) < 0) {
                return true;  // A signal.
            }
            if (!channel_ || wait.revents == 0) continue;
            auto message = channel_->receive();
            if (!message) {
                channel_.reset();
                continue;
            }
            if (!*message) continue;
            if (auto* fresh = std::get_if<link::NewSettings>(&**message)) take(fresh->settings);
            if (std::get_if<link::Stop>(&**message) && !behaviour_.deaf) {
                stop("asked to stop");
                return false;
            }
        }
    }

    void take(link::RecorderSettings settings) {
        if (settings_) finish_clip(clip::EndReason::settings_change);
        settings_ = std::move(settings);
        behaviour_ = behaviour_of(settings_->url);
        if (behaviour_.mute) return;
        say_state();
        auto journal = journal::Writer::open(
            real_file_system(),
            join(settings_->data_folder, "journal/" + to_string(camera_) + ".log"), "camera");
        if (journal) journal_.emplace(std::move(*journal));
    }

    void write(const journal::CameraRecord& record) {
        if (!journal_) return;
        (void)journal_->append(journal::encode(record));
        (void)journal_->sync();
    }

    bool begin_clip() {
        const journal::Stamp now = now_stamp();
        clip::ClipHeader header{.clip = random_id<ClipId>(),
                                .camera = camera_,
                                .hub = settings_->hub,
                                .run = run_,
                                .boot = now.boot,
                                .boot_begin = now.at,
                                .utc_begin = now.utc,
                                .quality = now.quality,
                                .codec = "avc1.4D401F",
                                .width = 320,
                                .height = 240,
                                .encoder = "camera",
                                .encoder_why = "fake",
                                .policy_number = settings_->policy_number,
                                .policy_hash = settings_->policy_hash};
        auto writer = clip::ClipWriter::begin(real_file_system(),
                                              join(settings_->data_folder, "clips"), header);
        if (!writer) {
            fmt::print(stderr, "fake recorder: {}\n", writer.error().what);
            return false;
        }
        clip_.emplace(std::move(*writer));
        pieces_in_clip_ = 0;
        last_end_ = now.at;
        offset_ = now.utc.us - now.at.us;
        if (!append(clip::PieceKind::init, now.at, now.at, "fake init ")) return false;
        say(link::ClipOpened{.path = clip_->relative_path(), .header = clip_->header()});
        if (first_frame_) {
            first_frame_ = false;
            write(journal::GapEnded{.when = now});
            write(journal::RunBegan{.when = now, .run = run_, .encoder = "camera"});
            say(link::GapChanged{.open = false, .when = now, .cause = journal::GapCause::restart});
        }
        return true;
    }

    bool append(clip::PieceKind kind, BootTime begin, BootTime end, std::string_view text) {
        clip::PieceIdentity identity{.camera = camera_,
                                     .clip = clip_->header().clip,
                                     .sequence = clip_->next_sequence(),
                                     .kind = kind,
                                     .boot_begin = begin,
                                     .boot_end = end,
                                     .utc_begin = WallTime{begin.us + offset_},
                                     .utc_end = WallTime{end.us + offset_},
                                     .frames = kind == clip::PieceKind::video ? 1u : 0u,
                                     .start = kind == clip::PieceKind::video
                                                  ? clip::PieceStart::idr
                                                  : clip::PieceStart::none};
        const Bytes encoded = clip::encode_identity(identity);
        const seal::Stanza stanza = seal::make_piece_stanza(clip_->header_bytes(), encoded);
        std::string plain = fmt::format("{}{};", text, identity.sequence);
        plain.append(static_cast<std::size_t>(behaviour_.bytes), '.');
        auto age = seal::seal(as_bytes(plain), settings_->recipients, {&stanza, 1});
        if (!age) {
            fmt::print(stderr, "fake recorder: {}\n", age.error().what);
            return false;
        }
        return clip_->append_piece(identity, *age).ok();
    }

    bool record_piece() {
        if (!clip_ && !begin_clip()) return false;
        const BootTime end = system_clock().boot();
        if (end <= last_end_) return true;
        if (!append(clip::PieceKind::video, last_end_, end, "fake video ")) return false;
        if (!clip_->sync()) return false;
        last_end_ = end;
        ++pieces_in_clip_;
        ++frames_;
        say(link::PieceDurable{.path = clip_->relative_path(),
                               .clip = clip_->header().clip,
                               .sequence = clip_->next_sequence() - 1,
                               .file_size = clip_->size_bytes(),
                               .boot_end = end,
                               .utc_end = WallTime{end.us + offset_},
                               .frames = static_cast<std::uint32_t>(pieces_in_clip_)});
        say(link::Progress{.frames = frames_, .bytes = frames_ * 500});
        if (behaviour_.crash_after > 0 &&
            frames_ >= static_cast<std::uint64_t>(behaviour_.crash_after)) {
            ::abort();
        }
        if (pieces_in_clip_ >= behaviour_.pieces) finish_clip(clip::EndReason::target);
        return true;
    }

    void finish_clip(clip::EndReason reason) {
        if (!clip_) return;
        auto summary = clip_->finish(reason, "fake");
        if (summary) {
            write(journal::ClipClosed{.when = now_stamp(),
                                      .clip = summary->clip,
                                      .run = summary->run,
                                      .name_time = summary->name_time,
                                      .size_bytes = summary->size_bytes});
            say(link::ClipFinished{.path = clip_->relative_path(), .summary = *summary});
        }
        clip_.reset();
    }

    void stop(std::string_view why) {
        finish_clip(clip::EndReason::shutdown);
        if (settings_) {
            journal::Stamp end = now_stamp();
            write(journal::RunEnded{.when = end,
                                    .run = run_,
                                    .cause = journal::GapCause::restart,
                                    .detail = std::string(why)});
            if (!first_frame_) {
                write(journal::GapBegan{
                    .when = end, .cause = journal::GapCause::restart, .detail = std::string(why)});
            }
        }
        say(link::Farewell{.why = std::string(why)});
    }

    std::string link_path_;
    CameraId camera_;
    Fd lock_;
    RunId run_;
    std::optional<link::LinkChannel> channel_;
    BootTime next_connect_{};
    BootTime next_piece_{};
    std::optional<link::RecorderSettings> settings_;
    Behaviour behaviour_;
    std::optional<journal::Writer> journal_;
    std::optional<clip::ClipWriter> clip_;
    bool first_frame_ = true;
    BootTime last_end_{};
    std::int64_t offset_ = 0;
    std::int64_t pieces_in_clip_ = 0;
    std::uint64_t frames_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    std::string link_path;
    std::string camera;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) == "--link") link_path = argv[i + 1];
        if (std::string_view(argv[i]) == "--camera") camera = argv[i + 1];
    }
    auto id = parse_id<CameraId>(camera, "--camera");
    if (!id || link_path.empty()) return 2;
    struct sigaction on_term {};
    on_term.sa_handler = [](int) { g_term = 1; };
    ::sigaction(SIGTERM, &on_term, nullptr);
    return FakeRecorder(link_path, *id).run();
}
