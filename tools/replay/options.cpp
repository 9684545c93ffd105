#include "tools/replay/options.hpp"

#include <array>
#include <charconv>
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
  halfdoor-replay front.mp4 --fault front,stall,10,5               no frames from 10 s to 15 s

Files: mp4, mov, mkv, or raw .h264 and .h265, with H.264 or H.265 video; AAC and G.711 sound is
served too. --generate takes CODEC:WIDTHxHEIGHT@RATE, then any of :gop=FRAMES :kbit=PER_SECOND
:bframes=0..4 :seconds=LOOP.

Frame numbers (--counter) go on while nobody is connected, so a number that is missing after a
reconnect is a frame that the client did not get. Each time a client comes to a camera that nobody
watches, its pictures begin again at the newest key frame.

Faults: stall (seconds without frames), skip (frames never sent), reset (TCP RST), close (the
camera hangs up), freeze (the whole program stops for seconds, all connections stay open; what was
due meanwhile comes late, all at once).

When it serves, a line "ready" and the URLs are printed. Exit codes: 0 ended as asked, 1 it could
not serve, 2 wrong arguments.)";

bool parse_double(std::string_view text, double& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && out >= 0;
}

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

void describe(CLI::App& app, Options& o, std::vector<std::string>& faults) {
    app.add_option("INPUT", o.inputs, "Video files, or folders of them");
    app.add_option("--generate", o.generate, "Footage to make, a comma-separated list (see below)");
    app.add_option("--cameras", o.cameras, "Serve this many cameras, repeating the inputs")
        ->check(CLI::Range(1, 256));
    app.add_option("--port", o.server.port, "TCP port; 0: a free one")
        ->check(CLI::Range(0, 65535))
        ->capture_default_str();
    app.add_option("--address", o.server.address, "Address to listen on")->capture_default_str();
    app.add_option("--user", o.server.user, "Ask clients for this user (digest authentication)");
    app.add_option("--password", o.server.password,
                   "Its password; other users of this machine can see it here");
    app.add_option("--password-file", o.password_file,
                   fmt::format("File with the password; without it, {}", kPasswordVariable));
    app.add_flag("--counter", o.counter, "Number every frame in an SEI");
    app.add_option("--fault", faults, "CAMERA,KIND,AT_SECONDS[,AMOUNT]; may be repeated");
    app.add_option("--duration", o.duration_s, "End by itself after this many seconds")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--list", o.list, "Say what would be served, and end");
    app.add_flag("--json", o.json, "Print JSON lines");
    app.set_version_flag("--version", HALFDOOR_VERSION);
    app.footer(kFooter);
}

int complain(const Error& error) {
    fmt::print(stderr, "halfdoor-replay: {}\n", error.what);
    return 2;
}

}  // namespace

Result<Fault> parse_fault(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, FaultKind>, 5> kKinds{
        {{"stall", FaultKind::stall},
         {"skip", FaultKind::skip},
         {"reset", FaultKind::reset},
         {"close", FaultKind::close},
         {"freeze", FaultKind::freeze}}};
    std::vector<std::string_view> parts;
    for (std::string_view rest = text;;) {
        const std::size_t comma = rest.find(',');
        parts.push_back(rest.substr(0, comma));
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    const auto wrong = [&](std::string_view rule) {
        return Error{ErrorCode::invalid, fmt::format("--fault {}: {}", text, rule)};
    };
    if (parts.size() < 3 || parts.size() > 4) return wrong("must be CAMERA,KIND,AT[,AMOUNT]");
    Fault fault;
    fault.camera = parts[0];
    bool known = false;
    for (const auto& [name, kind] : kKinds)
        if (parts[1] == name) fault.kind = kind, known = true;
    if (!known) return wrong("kind must be stall, skip, reset, close or freeze");
    double at = 0;
    if (!parse_double(parts[2], at)) return wrong("AT must be seconds, 0 or more");
    if (parts.size() == 4 && !parse_double(parts[3], fault.amount))
        return wrong("AMOUNT must be a number, 0 or more");
    const bool needs_amount = fault.kind == FaultKind::stall || fault.kind == FaultKind::skip ||
                              fault.kind == FaultKind::freeze;
    if (needs_amount && parts.size() != 4) return wrong("this kind needs an AMOUNT");
    fault.at = Micros(static_cast<std::int64_t>(at * 1e6));
    return fault;
}

Parsed parse_options(int argc, char** argv) {
    Parsed out;
    std::vector<std::string> faults;
    CLI::App app(kAbout, "halfdoor-replay");
    describe(app, out.options, faults);
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
