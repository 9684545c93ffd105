#include "tools/replay/options.hpp"

#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "index/base/files.hpp"

namespace hd::replay {
namespace {

constexpr const char* kPasswordVariable = "HALFDOOR_REPLAY_PASSWORD";

constexpr const char* kAbout =
    "Serves recorded video files as RTSP cameras, in real time and in an endless loop, or makes\n"
    "moving footage itself when no file is given.";

constexpr const char* kFooter = R"(Examples:
  halfdoor-replay                                 three generated cameras (two H.264, one H.265)
  halfdoor-replay front.mp4 yard.mkv              rtsp://127.0.0.1:8554/front and .../yard
  halfdoor-replay --cameras 16 --counter clips/   16 cameras from the files of a folder
  halfdoor-replay --generate h264:1920x1080@30:kbit=6000,h265:640x360@15:bframes=2
  halfdoor-replay --user cam --password-file pw.txt front.mp4      digest authentication
  halfdoor-replay --tls cam.pem front.mp4         rtsps:// with this certificate and key
  halfdoor-replay front.mp4 --fault front,stall,10,5             no frames from 10 s to 15 s
  halfdoor-replay front.mp4 --fault front,loss,0,2,60 --seed 7   2 % of the packets for a minute

Files: mp4, mov, mkv, or raw .h264 and .h265, with H.264 or H.265 video; AAC, Opus and G.711
sound is served too. --generate takes CODEC:WIDTHxHEIGHT@RATE (h264, h265, mjpeg), then any of :gop=FRAMES :kbit=PER_SECOND
:bframes=0..4 :seconds=LOOP :audio=aac|opus|pcma|pcmu (a tone).

Frame numbers (--counter) go on while nobody is connected, so a number that is missing after a
reconnect is a frame that the client did not get. Each time a client comes to a camera that nobody
watches, its pictures begin again at the newest key frame.

When it serves, a line "ready" and the URLs are printed. Exit codes: 0 ended as asked, 1 it could
not serve, 2 wrong arguments.)";

Result<std::string> password(const Options& options) {
    if (!options.password_file.empty()) {
        HD_ASSIGN(const Bytes bytes, real_file_system().read(options.password_file, 4096));
        std::string text(as_text(bytes));
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        return text;
    }
    const char* variable = std::getenv(kPasswordVariable);
    return std::string(variable ? variable : "");
}

// The list of faults, from the one table of them.
std::string about_faults() {
    std::string out =
        "Faults, as CAMERA,KIND,AT[,AMOUNT[,FOR]]; CAMERA is a name or a number from 1, AT and FOR "
        "are\nseconds, and without FOR it lasts until the end:\n";
    for (const FaultFacts& f : fault_facts())
        out += fmt::format("  {:<22} {}\n",
                           fmt::format("{}{}{}{}", f.name, *f.amount ? "," : "", f.amount,
                                       f.lasts ? "[,FOR]" : ""),
                           f.help);
    return out +
           "Chance (percents, random bytes) follows --seed: the same seed, footage and faults lose "
           "the\nsame packets. loss, reorder, truncate and garble concern the video's RTP packets, "
           "over UDP and\nTCP alike. --commands reads CAMERA,KIND[,AMOUNT[,FOR]] lines, done at "
           "once, from standard input.\n\n";
}

void describe(CLI::App& app, Options& o, std::vector<std::string>& faults, std::string& auth) {
    app.add_option("INPUT", o.inputs, "Video files, or folders of them");
    app.add_option("--generate", o.generate, "Footage to make, a comma-separated list (see below)");
    app.add_option("--cameras", o.cameras, "Serve this many cameras, repeating the inputs")
        ->check(CLI::Range(1, 256));
    app.add_option("--port", o.server.port, "TCP port; 0: a free one")
        ->check(CLI::Range(0, 65535))
        ->capture_default_str();
    app.add_option("--address", o.server.address, "Address to listen on")->capture_default_str();
    app.add_option("--user", o.server.user, "Ask clients for this user");
    app.add_option("--password", o.server.password,
                   "Its password; other users of this machine can see it here");
    app.add_option("--password-file", o.password_file,
                   fmt::format("File with the password; without it, {}", kPasswordVariable));
    app.add_flag("--counter", o.counter, "Number every frame in an SEI");
    app.add_option("--auth", auth, "How: digest or basic")
        ->check(CLI::IsMember({"digest", "basic"}))
        ->capture_default_str();
    app.add_option("--tls", o.server.tls_file,
                   "Serve rtsps:// with the certificate and key in this PEM file")
        ->check(CLI::ExistingFile);
    app.add_option("--fault", faults, "A fault on the timetable (see below); may be repeated");
    app.add_flag("--commands", o.commands, "Take faults from standard input, a line each");
    app.add_option("--seed", o.server.seed, "Of everything that is left to chance")
        ->capture_default_str();
    app.add_option("--duration", o.duration_s, "End by itself after this many seconds")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--list", o.list, "Say what would be served, and end");
    app.add_flag("--json", o.json, "Print JSON lines");
    app.set_version_flag("--version", HALFDOOR_VERSION);
    app.footer(about_faults() + kFooter);
}

int complain(const Error& error) {
    fmt::print(stderr, "halfdoor-replay: {}\n", error.what);
    return 2;
}

}  // namespace

Parsed parse_options(int argc, char** argv) {
    Parsed out;
    std::vector<std::string> faults;
    std::string auth = "digest";
    CLI::App app(kAbout, "halfdoor-replay");
    describe(app, out.options, faults, auth);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        out.exit_code = app.exit(e) == 0 ? 0 : 2;
        return out;
    }
    Options& o = out.options;
    for (const std::string& text : faults) {
        auto fault = parse_fault(text);
        if (!fault) {
            out.exit_code = complain(fault.error());
            return out;
        }
        o.faults.push_back(*std::move(fault));
    }
    if (auth == "basic") o.server.auth = Server::Settings::Auth::basic;
    for (const Fault& fault : o.faults)
        if (needs_relay(fault.kind) && !o.server.tls_file.empty()) {
            out.exit_code =
                complain({ErrorCode::invalid,
                          fmt::format("fault {}: not with --tls, whose bytes cannot be changed",
                                      facts_of(fault.kind).name)});
            return out;
        }
    if (!o.server.user.empty() && o.server.password.empty()) {
        auto secret = password(o);
        if (!secret || secret->empty()) {
            out.exit_code =
                complain(secret ? Error{ErrorCode::invalid, "--user needs a password as well"}
                                : secret.error());
            return out;
        }
        o.server.password = *std::move(secret);
    }
    return out;
}

}  // namespace hd::replay
