// halfdoor-replay: recorded or generated footage as RTSP cameras.
#include <algorithm>
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <glib-unix.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/replay/generate.hpp"
#include "tools/replay/options.hpp"
#include "tools/replay/pacer.hpp"
#include "tools/replay/relay.hpp"
#include "tools/replay/server.hpp"

namespace hd::replay {
namespace {

// Two H.264 cameras and one H.265 camera: what a newcomer's demo records.
constexpr const char* kDefaultFootage = "h264:1280x720@25,h264:640x480@15,h265:640x360@25";

using FootageList = std::vector<std::shared_ptr<const Footage>>;

Result<FootageList> gather(const Options& o) {
    FootageList out;
    for (const std::string& input : o.inputs) {
        HD_ASSIGN(const auto files, video_files(input));
        for (const std::string& file : files) {
            HD_ASSIGN(auto footage, load_footage(file));
            out.push_back(std::make_shared<const Footage>(std::move(footage)));
        }
    }
    std::string recipes = o.generate;
    if (recipes.empty() && out.empty()) recipes = kDefaultFootage;
    if (recipes.empty()) return out;
    HD_ASSIGN(const auto list, parse_recipes(recipes));
    for (const Recipe& recipe : list) {
        const std::string name = fmt::format("{}-{}p", codec_word(recipe.codec), recipe.height);
        if (isatty(STDERR_FILENO)) fmt::print(stderr, "making footage {} ...\n", name);
        HD_ASSIGN(auto footage, generate_footage(recipe, name));
        out.push_back(std::make_shared<const Footage>(std::move(footage)));
    }
    return out;
}

// Names are unique: a repeated one gets "-2", "-3" ...
std::string unique_name(const std::string& wanted, const std::vector<CameraFeed*>& taken) {
    for (int n = 1;; ++n) {
        std::string name = n == 1 ? wanted : fmt::format("{}-{}", wanted, n);
        bool free = true;
        for (const CameraFeed* feed : taken) free = free && feed->name() != name;
        if (free) return name;
    }
}

std::string describe(const Footage& f) {
    std::string text = fmt::format("{} {}x{} {:.4g} fps, {} frames, loops after {:.2f} s",
                                   codec_name(f.codec), f.width, f.height, f.frames_per_second(),
                                   f.video.size(), static_cast<double>(f.length.count()) / 1e6);
    if (f.audio)
        text += fmt::format(", {} {} Hz",
                            f.audio->codec == AudioCodec::aac    ? "AAC"
                            : f.audio->codec == AudioCodec::opus ? "Opus"
                            : f.audio->codec == AudioCodec::pcma ? "G.711 A-law"
                                                                 : "G.711 u-law",
                            f.audio->rate);
    if (!f.audio_left_out.empty()) text += fmt::format(", sound left out: {}", f.audio_left_out);
    return text + " (" + f.origin + ")";
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
    }
    return out + "\"";
}

std::string json_camera(const CameraFeed& feed, const std::string& url) {
    const Footage& f = feed.footage();
    return fmt::format(
        R"({{"name":{},"url":{},"codec":"{}","width":{},"height":{},"frames_per_second":{:.3f},)"
        R"("loop_frames":{},"loop_us":{},"audio":{},"origin":{}}})",
        quoted(feed.name()), quoted(url), codec_word(f.codec), f.width, f.height,
        f.frames_per_second(), f.video.size(), f.length.count(), f.audio ? "true" : "false",
        quoted(f.origin));
}

class Program {
  public:
    explicit Program(Options options) : o_(std::move(options)) {}
    Result<void> run();

  private:
    Result<void> make_cameras();
    Result<void> open_door();
    Result<void> plan_faults();
    Result<CameraFeed*> target(const Fault& fault) const;
    void apply(const Fault& fault, CameraFeed& feed);
    void listen_to_commands();
    static gboolean on_command(GIOChannel* channel, GIOCondition, gpointer self);
    void obey(std::string line);
    bool wants_relay() const;
    void say_ready() const;
    void say_end() const;
    CameraFeed* find(const std::string& name_or_number) const;

    struct Planned {
        Program* program;
        const Fault* fault;
        CameraFeed* feed;
    };

    const Options o_;
    Pacer pacer_;
    std::vector<std::unique_ptr<CameraFeed>> cameras_;
    std::vector<CameraFeed*> feeds_;
    std::vector<std::unique_ptr<Planned>> planned_;
    FootageList footage_;
    std::unique_ptr<Relay> relay_;
    std::unique_ptr<Server> server_;
};

Result<void> Program::make_cameras() {
    HD_ASSIGN(footage_, gather(o_));
    const std::size_t count =
        o_.cameras > 0 ? static_cast<std::size_t>(o_.cameras) : footage_.size();
    for (std::size_t i = 0; i < count; ++i) {
        const auto& f = footage_[i % footage_.size()];
        // Real cameras do not take their pictures at the same instant.
        const Tick begin(static_cast<std::int64_t>(i * 40'000 / count));
        cameras_.push_back(std::make_unique<CameraFeed>(
            f, CameraFeed::Settings{unique_name(f->name, feeds_), o_.counter, begin}));
        feeds_.push_back(cameras_.back().get());
    }
    return {};
}

CameraFeed* Program::find(const std::string& name_or_number) const {
    for (std::size_t i = 0; i < feeds_.size(); ++i)
        if (feeds_[i]->name() == name_or_number || std::to_string(i + 1) == name_or_number)
            return feeds_[i];
    return nullptr;
}

// The camera of a fault that can be done to it.
Result<CameraFeed*> Program::target(const Fault& fault) const {
    const auto wrong = [&](std::string_view rule) {
        return Error{ErrorCode::invalid,
                     fmt::format("fault {},{}: {}", fault.camera, facts_of(fault.kind).name, rule)};
    };
    CameraFeed* feed = find(fault.camera);
    if (!feed) return wrong("no camera of this name or number");
    if (needs_relay(fault.kind) && !relay_) return wrong("not with --tls");
    if (fault.kind == FaultKind::switch_pictures) {
        const auto input = static_cast<std::size_t>(fault.amount);
        if (input < 1 || input > footage_.size()) return wrong("no such input");
        if (footage_[input - 1]->codec != feed->footage().codec)
            return wrong("that input has another codec");
    }
    return feed;
}

Result<void> Program::plan_faults() {
    for (const Fault& fault : o_.faults) {
        HD_ASSIGN(CameraFeed* const feed, target(fault));
        planned_.push_back(std::make_unique<Planned>(Planned{this, &fault, feed}));
    }
    for (const auto& planned : planned_)
        g_timeout_add(
            static_cast<guint>(planned->fault->at.count() / 1000),
            [](gpointer user) -> gboolean {
                const auto& p = *static_cast<Planned*>(user);
                p.program->apply(*p.fault, *p.feed);
                return FALSE;
            },
            planned.get());
    return {};
}

// Stops this whole process, as a camera does whose firmware hangs; a child wakes it up again.
void freeze(double seconds) {
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child < 0) return;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        usleep(static_cast<useconds_t>(seconds * 1e6));
        kill(self, SIGCONT);
        _exit(0);
    }
    raise(SIGSTOP);
    waitpid(child, nullptr, 0);
}

void Program::apply(const Fault& fault, CameraFeed& feed) {
    fmt::print(stderr, "{:.3f} s: fault {} at camera {}\n",
               static_cast<double>(pacer_.now().count()) / 1e6, facts_of(fault.kind).name,
               feed.name());
    const auto amount = static_cast<std::size_t>(std::max(0.0, fault.amount));
    switch (fault.kind) {
        case FaultKind::stall:
            return feed.lose(pacer_.now(), Micros(static_cast<std::int64_t>(fault.amount * 1e6)));
        case FaultKind::skip:
            return feed.lose_frames(amount);
        case FaultKind::switch_pictures:
            return feed.show(footage_[amount - 1]);
        case FaultKind::audio_stall:
            return feed.lose_sound(pacer_.now(),
                                   Micros(static_cast<std::int64_t>(fault.amount * 1e6)));
        case FaultKind::audio_end:
            return feed.end_sound();
        case FaultKind::audio_drift:
            return feed.drift_sound(pacer_.now(), fault.amount);
        case FaultKind::freeze:
            return freeze(fault.amount);
        case FaultKind::reset:
            server_->hang_up(feed, Server::Hangup::reset);
            return;
        case FaultKind::close:
            server_->hang_up(feed, Server::Hangup::close);
            return;
        default:
            if (needs_relay(fault.kind)) return relay_->begin(feed.name(), fault);
            return server_->begin_fault(feed, fault);
    }
}

void Program::obey(std::string line) {
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    if (line.empty()) return;
    auto fault = parse_command(line);
    auto feed = fault ? target(*fault) : Result<CameraFeed*>(fault.error());
    if (!feed) {
        fmt::print(stderr, "halfdoor-replay: {}\n", feed.error().what);
        return;
    }
    apply(*fault, **feed);
}

gboolean Program::on_command(GIOChannel* channel, GIOCondition, gpointer self) {
    gchar* line = nullptr;
    const GIOStatus status = g_io_channel_read_line(channel, &line, nullptr, nullptr, nullptr);
    if (line) static_cast<Program*>(self)->obey(line);
    g_free(line);
    return status == G_IO_STATUS_NORMAL || status == G_IO_STATUS_AGAIN;
}

void Program::listen_to_commands() {
    GIOChannel* channel = g_io_channel_unix_new(STDIN_FILENO);
    g_io_channel_set_encoding(channel, nullptr, nullptr);
    g_io_add_watch(channel, static_cast<GIOCondition>(G_IO_IN | G_IO_HUP), on_command, this);
    g_io_channel_unref(channel);
}

bool Program::wants_relay() const {
    if (!o_.server.tls_file.empty()) return false;
    return o_.commands || std::any_of(o_.faults.begin(), o_.faults.end(),
                                      [](const Fault& f) { return needs_relay(f.kind); });
}

// The server, behind a relay if a fault needs one.
Result<void> Program::open_door() {
    Server::Settings settings = o_.server;
    if (wants_relay()) settings.port = 0;
    server_ = std::make_unique<Server>(
        settings, Server::Hooks{[this] { return pacer_.now(); }, [this] { pacer_.wake(); }});
    for (CameraFeed* feed : feeds_) server_->add(*feed);
    if (o_.list) return {};
    HD_TRY(server_->listen());
    if (!wants_relay()) return {};
    relay_ = std::make_unique<Relay>(Relay::Settings{.address = settings.address,
                                                     .port = o_.server.port,
                                                     .inner_port = server_->port(),
                                                     .seed = settings.seed});
    HD_TRY(relay_->listen());
    server_->set_public_port(relay_->port());
    return {};
}

void Program::say_ready() const {
    if (o_.json) {
        std::string cameras;
        for (const CameraFeed* feed : feeds_)
            cameras += (cameras.empty() ? "" : ",") + json_camera(*feed, server_->url(*feed));
        fmt::print(R"({{"ready":{},"port":{},"cameras":[{}]}})"
                   "\n",
                   !o_.list, server_->port(), cameras);
    } else {
        if (!o_.list) fmt::print("ready: {} cameras on port {}\n", feeds_.size(), server_->port());
        for (const CameraFeed* feed : feeds_)
            fmt::print("{}   {}\n", server_->url(*feed), describe(feed->footage()));
    }
    std::fflush(stdout);
}

void Program::say_end() const {
    std::string sent;
    for (const CameraFeed* feed : feeds_)
        sent += fmt::format(R"({}{{"name":{},"frames_sent":{}}})", sent.empty() ? "" : ",",
                            quoted(feed->name()), feed->frames_sent());
    if (o_.json) fmt::print("{{\"ended\":true,\"cameras\":[{}]}}\n", sent);
}

Result<void> Program::run() {
    HD_TRY(make_cameras());
    HD_TRY(open_door());
    if (o_.list) {
        say_ready();
        return {};
    }
    HD_TRY(plan_faults());
    say_ready();

    const std::unique_ptr<GMainLoop, void (*)(GMainLoop*)> loop{g_main_loop_new(nullptr, FALSE),
                                                                g_main_loop_unref};
    const auto quit = [](gpointer user) -> gboolean {
        g_main_loop_quit(static_cast<GMainLoop*>(user));
        return TRUE;
    };
    g_unix_signal_add(SIGTERM, quit, loop.get());
    g_unix_signal_add(SIGINT, quit, loop.get());
    if (o_.duration_s > 0)
        g_timeout_add(static_cast<guint>(o_.duration_s * 1000), quit, loop.get());
    std::jthread pace([this](const std::stop_token& stop) {
        prctl(PR_SET_NAME, "pace");
        pacer_.run(stop, feeds_);
    });
    std::jthread relay([this](const std::stop_token& stop) {
        prctl(PR_SET_NAME, "relay");
        if (relay_) relay_->run(stop);
    });
    if (o_.commands) listen_to_commands();
    g_main_loop_run(loop.get());
    for (std::jthread* thread : {&pace, &relay}) {
        thread->request_stop();
        thread->join();
    }
    say_end();
    server_.reset();
    return {};
}

}  // namespace
}  // namespace hd::replay

int main(int argc, char** argv) {
    auto parsed = hd::replay::parse_options(argc, argv);
    if (parsed.exit_code >= 0) return parsed.exit_code;
    std::signal(SIGPIPE, SIG_IGN);
    gst_init(nullptr, nullptr);
    hd::replay::Program program(std::move(parsed.options));
    if (auto done = program.run(); !done) {
        fmt::print(stderr, "halfdoor-replay: {}\n", done.error().what);
        return done.error().code == hd::ErrorCode::invalid ? 2 : 1;
    }
    return 0;
}
