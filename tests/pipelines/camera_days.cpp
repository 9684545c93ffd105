#include "tests/pipelines/camera_days.hpp"

#include <algorithm>
#include <cstdlib>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "index/base/log.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"
#include "tests/pipelines/record_tools.hpp"
#include "tests/support/seeded_random.hpp"

namespace hd::test {
namespace {

constexpr CameraId kCamera{{1, 2, 3}};
// Turns of the recorder for one of ours: a few events, each with its disk work.
constexpr int kTurns = 4;

std::string text_of(const journal::Stamp& s, std::size_t boot) {
    return fmt::format("boot {} at {} utc {} ({})", boot, s.at.us, s.utc.us, to_string(s.quality));
}

}  // namespace

class CameraDays::Camera final : public ingest::Source {
  public:
    Camera(CameraDays& days, ingest::Ingress& ingress) : days_(days), ingress_(ingress) {}
    ~Camera() override {
        if (days_.camera_ == this) days_.camera_ = nullptr;
    }
    Result<void> start() override {
        ++days_.connects;
        days_.camera_ = this;
        if (days_.mood_ == Mood::off) say(ingest::Lost{journal::GapCause::unreachable, "no route"});
        if (days_.mood_ == Mood::refuses) say(ingest::Lost{journal::GapCause::refused, "401"});
        if (days_.mood_ == Mood::encoder_fails)
            say(ingest::Lost{journal::GapCause::encoder, "the encoder failed"});
        return {};
    }
    Result<void> stop(BootTime) override {
        if (days_.mood_ != Mood::hangs) return {};
        // The recorder lets go of what hangs and ends its process. Here the process goes on: what
        // is still known to it is no leak, to the very end.
        static auto& hung = *std::make_unique<std::vector<const Camera*>>().release();
        hung.push_back(this);
        if (days_.camera_ == this) days_.camera_ = nullptr;  // Its ingress goes with the process.
        return Error{ErrorCode::unavailable, "a thread hangs"};
    }
    ingest::SourceStats stats() const override {
        return {.unusable_frames = days_.unusable, .camera_clock = days_.camera_clock};
    }

    bool over() const { return over_; }
    void say(ingest::SourceEvent event) {
        over_ = over_ || std::holds_alternative<ingest::Lost>(event);
        ingress_.push(std::move(event));
    }
    void send(bool key) {
        if (!std::exchange(connected_, true)) {
            say(ingest::Connected{});
            say(some_format());
            key = key || days_.begins_with_key;
        }
        say(some_frame(days_.clock.boot(), key));
    }

  private:
    CameraDays& days_;
    ingest::Ingress& ingress_;
    bool connected_ = false, over_ = false;
};

CameraDays::CameraDays(ClockQuality quality, WallTime wall) : clock(wall) {
    seed_random(1);
    // What goes wrong by order is no news, and would hide what went wrong.
    const char* level = std::getenv("HALFDOOR_LOG");
    log::set_level(level ? level : "off");
    clock.set_quality(quality);
    boots_.push_back(clock.boot_id());
    settings.camera = kCamera;
    settings.name = "door";
    settings.url = "rtsp://camera/";
    settings.data_folder = data();
    settings.sync_period = std::chrono::seconds(1);
    settings.recipients = {seal::generate_identity().recipient};
}
CameraDays::~CameraDays() {
    fs.cut_power_at(fs.operations());  // Nothing more to write.
    recorder_.reset();
}

void CameraDays::set_mood(Mood mood) {
    if (mood != Mood::well) first_frame.reset();
    mood_ = mood;
}

void CameraDays::hang_up() {
    if (camera_) camera_->say(ingest::Lost{journal::GapCause::closed, "closed"});
}

void CameraDays::lose_dialer() {
    if (!camera_) return;
    camera_->say(ingest::Lost{journal::GapCause::unreachable, "the dialer is gone",
                              ingest::Remedy::new_process});
}

void CameraDays::feed() {
    if (clock.boot() < next_frame_) return;
    next_frame_ = clock.boot() + frame_step;
    if (mood_ != Mood::well || !camera_ || camera_->over()) return;
    if (!first_frame) first_frame = clock.boot();
    if (--until_key_ < 0) until_key_ = key_every - 1;
    camera_->send(until_key_ == key_every - 1);
    ++frames;
}

void CameraDays::talk() {
    if (!listener_) return;
    if (auto accepted = listener_->accept(); accepted && *accepted) {
        channel_ = std::move(**accepted);
        told_ = false;
    }
    while (channel_) {
        auto message = channel_->receive();
        if (!message) channel_.reset();
        if (!message || !*message) return;
        if (const auto* hello = std::get_if<link::Hello>(&**message))
            told_ = hello->has_settings && hello->settings == link::settings_hash(settings);
        if (!std::holds_alternative<link::Progress>(**message)) heard.push_back(**message);
        if (!std::exchange(told_, true)) channel_->send(link::NewSettings{settings});
    }
}

void CameraDays::daemon_speaks(const link::Message& message) {
    if (channel_) channel_->send(message);
}

void CameraDays::daemon_is_of_another_release() {
    if (!channel_) return;
    Bytes packet = link::encode(link::Stop{"words of the future"});
    packet[2] = 99;  // docs/formats/link.md: the version
    CHECK(::send(channel_->fd(), packet.data(), packet.size(), 0) > 0);
}

void CameraDays::look() {
    for (int i = 0; i < kTurns && recorder_ && !sleeps_; ++i) {
        talk();
        if (recorder_->step(Micros(0))) continue;
        ended = recorder_->finish();
        recorder_.reset();
        talk();
        note_end("the recorder ended").ignore();
    }
    if (clock_keeper_) (void)clock_keeper_->look();
}

void CameraDays::live(Micros time, Micros turn) {
    for (const BootTime end = clock.boot() + time; clock.boot() < end;) {
        clock.advance(turn);
        feed();
        look();
        if (!recorder_ && clock_keeper_ && enabled_) start_recorder();
    }
}

std::optional<daemon::VideoSpan> CameraDays::newest() const {
    auto& self = const_cast<CameraDays&>(*this);
    return daemon::newest_video(self.fs, data() + "/clips", kCamera, keeper_->word(),
                                clock_keeper_->now());
}

// As Supervisor does when a recorder is gone.
Result<void> CameraDays::note_end(const std::string& detail) {
    if (!keeper_) return {};
    Result<void> wrote = keeper_->catch_up();
    if (wrote)
        wrote = keeper_->video_ended(
            newest(), enabled_ ? journal::GapCause::restart : journal::GapCause::disabled, detail);
    if (wrote && !enabled_) wrote = keeper_->disabled(clock_keeper_->now());
    const auto parts = clip::find_parts(fs, data() + "/clips", kCamera);
    for (const std::string& part : parts ? *parts : std::vector<std::string>())
        (void)clip::recover_part(fs, data() + "/clips", part);
    return wrote;
}

void CameraDays::start_recorder() {
    if (!note_end("no recorder was running")) return;  // The next turn tries again.
    recorder_ = std::make_unique<record::Recorder>(
        record::Recorder::Options{folder_.path("link.sock"), kCamera},
        record::Recorder::Wiring{
            .fs = fs,
            .clock = clock,
            .make_source =
                [this](const link::RecorderSettings&, Clock&, ingest::Ingress& ingress,
                       std::shared_ptr<ingest::EncoderDesk>) -> std::unique_ptr<ingest::Source> {
                return std::make_unique<Camera>(*this, ingress);
            },
            .disk_thread = false});
    look();
}

// As Supervisor::open does: what a crash left is settled before anybody records.
void CameraDays::daemon_starts() {
    daemon_dies();  // There is one at a time; each has the socket's name for itself.
    const std::string folder = data() + "/journal";
    const std::string path = folder + "/" + to_string(kCamera) + ".log";
    auto clock_log = daemon::ClockKeeper::open(fs, clock, folder + "/clock.log");
    if (!clock_log) return;
    clock_keeper_.emplace(std::move(*clock_log));
    if (!recorder_) (void)journal::repair_tail(fs, path, "camera");
    auto keeper = daemon::JournalKeeper::open(fs, path, kCamera);
    if (!keeper) return clock_keeper_.reset();
    keeper_.emplace(std::move(*keeper));
    if (!recorder_) note_end("the hub was down").ignore();
    if (enabled_) keeper_->configured(clock_keeper_->now(), "door").ignore();
    auto bound = link::LinkListener::bind({.path = folder_.path("link.sock"), .allowed_users = {}});
    REQUIRE(bound.ok());
    listener_.emplace(std::move(*bound));
    if (!recorder_ && enabled_) start_recorder();
}

void CameraDays::recorder_dies() {
    const bool was_off = fs.operations() == 0;
    if (!recorder_ || was_off) return;
    fs.cut_power_at(fs.operations());  // A dead process writes nothing more.
    recorder_.reset();
    fs.power_cut(Cut::keep_all);  // And the disk of a live machine keeps all.
    channel_.reset();
    if (!keeper_) return;
    // The daemon lives; its handles into the file system do not.
    daemon_dies();
    daemon_starts();
}

void CameraDays::enable(bool on) {
    if (enabled_ == on || !keeper_) return;
    enabled_ = on;
    if (on) {
        keeper_->configured(clock_keeper_->now(), "door").ignore();
        return;
    }
    daemon_speaks(link::Stop{"the camera is not to be recorded"});
    for (int i = 0; i < 3 && recorder_; ++i) {
        clock.advance(Micros(100'000));
        look();
    }
}

void CameraDays::crash(std::optional<Cut> cut, ClockQuality next) {
    fs.cut_power_at(fs.operations());
    recorder_.reset();
    daemon_dies();
    fs.power_cut(cut.value_or(Cut::keep_all));
    if (!cut) return;
    clock.reboot(BootTime{5'000'000});
    clock.set_quality(next);
    boots_.push_back(clock.boot_id());
    next_frame_ = {};
}

void CameraDays::stop() {
    if (recorder_) {
        recorder_->ask_to_end("the test is over");
        ended = recorder_->finish();
        recorder_.reset();
    }
    if (!keeper_) daemon_starts();
    note_end("the hub is stopping").ignore();
    recorder_.reset();
    daemon_dies();
}

std::vector<clip::ClipSummary> CameraDays::clips() {
    std::vector<clip::ClipSummary> out;
    for (const std::string& path : fs.paths())
        if (path.ends_with(".clip"))
            if (auto summary = clip::read_summary(fs, path)) out.push_back(*summary);
    const auto place = [this](const clip::ClipSummary& s) {
        return std::pair(std::ranges::find(boots_, s.boot), s.boot_begin);
    };
    std::ranges::sort(out, [&](const auto& a, const auto& b) { return place(a) < place(b); });
    return out;
}

std::vector<journal::CameraRecord> CameraDays::journal() {
    std::vector<journal::CameraRecord> out;
    (void)journal::read(fs, data() + "/journal/" + to_string(kCamera) + ".log", "camera", 0,
                        [&](const journal::Record& r, std::uint64_t) {
                            if (auto record = journal::decode_camera_record(r))
                                out.push_back(*record);
                        });
    return out;
}

std::vector<journal::ClockRecord> CameraDays::clock_log() {
    std::vector<journal::ClockRecord> out;
    (void)journal::read(fs, data() + "/journal/clock.log", "clock", 0,
                        [&](const journal::Record& r, std::uint64_t) {
                            if (auto record = journal::decode_clock_record(r))
                                out.push_back(*record);
                        });
    return out;
}

std::vector<Tile> CameraDays::tiles() {
    std::vector<Tile> out;
    for (const clip::ClipSummary& s : clips())
        out.push_back({.begin = {s.boot, s.boot_begin, s.utc_begin, s.quality},
                       .end = journal::Stamp{s.boot, s.boot_end, s.utc_end, s.quality},
                       .cause = {}});
    std::vector<Tile> open;  // the causes of the gap that stands open, in order
    const auto place = [this](const journal::Stamp& s) {
        return std::pair(std::ranges::find(boots_, s.boot), s.at);
    };
    for (const journal::CameraRecord& record : journal()) {
        if (const auto* gap = std::get_if<journal::GapBegan>(&record)) {
            open.push_back({.begin = gap->when, .end = {}, .cause = gap->cause});
        } else if (const auto* end = std::get_if<journal::GapEnded>(&record)) {
            std::ranges::stable_sort(open, [&](const Tile& a, const Tile& b) {
                return place(a.begin) < place(b.begin);
            });
            for (std::size_t i = 0; i < open.size(); ++i)
                open[i].end = i + 1 < open.size() ? open[i + 1].begin : end->when;
            out.insert(out.end(), open.begin(), open.end());
            open.clear();
        }
    }
    std::ranges::stable_sort(
        open, [&](const Tile& a, const Tile& b) { return place(a.begin) < place(b.begin); });
    for (std::size_t i = 0; i + 1 < open.size(); ++i) open[i].end = open[i + 1].begin;
    out.insert(out.end(), open.begin(), open.end());
    std::ranges::stable_sort(out, [&](const Tile& a, const Tile& b) {
        if (place(a.begin) != place(b.begin)) return place(a.begin) < place(b.begin);
        return a.end && (!b.end || place(*a.end) < place(*b.end));
    });
    return out;
}

std::string CameraDays::untiled() {
    const auto number = [this](const journal::Stamp& s) {
        return static_cast<std::size_t>(std::ranges::find(boots_, s.boot) - boots_.begin());
    };
    const auto records = journal();
    if (records.empty() || !std::holds_alternative<journal::Configured>(records[0]))
        return "the journal does not begin with Configured";
    journal::Stamp edge = std::get<journal::Configured>(records[0]).when;
    const auto all = tiles();
    if (std::getenv("HALFDOOR_TILES") != nullptr)
        for (const Tile& t : all)
            MESSAGE(text_of(t.begin, number(t.begin))
                    << " to " << (t.end ? text_of(*t.end, number(*t.end)) : std::string("now"))
                    << ": " << (t.cause ? journal::to_string(*t.cause) : "clip"));
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Tile& t = all[i];
        const std::string what = t.cause ? std::string(journal::to_string(*t.cause)) : "clip";
        const std::string place = fmt::format(
            "tile {} of {} ({}) begins at {}, the one before ended at {}", i, all.size(), what,
            text_of(t.begin, number(t.begin)), text_of(edge, number(edge)));
        if (t.begin.boot != edge.boot || t.begin.at != edge.at) return place;
        // UTC may run backwards where the clock did, and nowhere else; and it is not known at all
        // before a boot's clock is good.
        const bool known = edge.quality != ClockQuality::unsynchronised &&
                           t.begin.quality != ClockQuality::unsynchronised;
        if (known && t.begin.utc > edge.utc) return "UTC: " + place;
        if (known && t.begin.utc != edge.utc && t.begin.utc > edge.utc - journal::kClockStep)
            return "UTC by a little: " + place;
        if (!t.end) return i + 1 == all.size() ? "" : "an open gap is not the last: " + place;
        if (number(*t.end) < number(t.begin) ||
            (t.end->boot == t.begin.boot && t.end->at < t.begin.at))
            return "of negative length: " + place;
        edge = *t.end;
    }
    return all.empty() ? "nothing at all" : "";
}

}  // namespace hd::test
