#include "pipelines/ingest/probe.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <ostream>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/board_facts.hpp"
#include "pipelines/ingest/gst_handles.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {
namespace {

// After SIGKILL a process that sits in a driver may not die; we do not wait for it for ever.
constexpr Micros kBurial = std::chrono::milliseconds(500);

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        if (static_cast<unsigned char>(c) < 0x20)
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            out.push_back(c);
    }
    return out + "\"";
}

// What a child writes to its parent: frames, then a phrase.
std::string encode_frames(const Candidate& c) {
    if (auto ready = init_gstreamer(); !ready) return "0 " + ready.error().what;
    const GstElementPtr encoder = make_element(c.element.c_str());
    if (!encoder) return "0 not installed";
    const std::string line = fmt::format(
        "videotestsrc num-buffers={} pattern=snow ! video/x-raw,width=640,height=480,framerate=25/1"
        " ! {} ! {} {} ! {} ! h264parse ! fakesink name=end signal-handoffs=true sync=false "
        "async=false",
        kProbeFrames, c.before, c.element, c.properties, c.after);
    GError* raw = nullptr;
    GstElement* made = gst_parse_launch(line.c_str(), &raw);
    const GErrorPtr error{raw};
    if (made) gst_object_ref_sink(made);
    const GstElementPtr pipeline{made};
    if (!pipeline || error) return fmt::format("0 {}", error ? error->message : "does not link");
    std::atomic<int> frames{0};
    const GstElementPtr end{gst_bin_get_by_name(GST_BIN(pipeline.get()), "end")};
    g_signal_connect(end.get(), "handoff",
                     G_CALLBACK(+[](GstElement*, GstBuffer*, GstPad*, gpointer count) {
                         ++*static_cast<std::atomic<int>*>(count);
                     }),
                     &frames);
    gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
    const GstBusPtr bus{gst_element_get_bus(pipeline.get())};
    GstMessage* message = gst_bus_timed_pop_filtered(
        bus.get(), GST_CLOCK_TIME_NONE,
        static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS));
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError* why = nullptr;
        gst_message_parse_error(message, &why, nullptr);
        return fmt::format(
            "{} {}", frames.load(), GErrorPtr { why } -> message);
    }
    return fmt::format("{} end of stream", frames.load());
}

// Never returns. Drivers print to the terminal whether they work or not, so it is taken away.
[[noreturn]] void be_the_child(const Candidate& candidate, int result) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    const std::string text = encode_frames(candidate);
    const ssize_t written = write(result, text.data(), text.size());
    _exit(written < 0 ? 1 : 0);  // No clean-up: that is where drivers hang.
}

// The child's text; empty if it died or did not answer in time.
std::string await(const Fd& from, Micros deadline, bool& in_time) {
    pollfd waiting{from.get(), POLLIN, 0};
    in_time = poll(&waiting, 1, static_cast<int>(deadline.count() / 1000)) > 0;
    if (!in_time) return {};
    std::array<char, 1024> buffer{};
    const ssize_t n = read(from.get(), buffer.data(), buffer.size());
    return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

void bury(pid_t child) {
    kill(child, SIGKILL);
    Clock& clock = system_clock();
    const BootTime until = clock.boot() + kBurial;
    while (waitpid(child, nullptr, WNOHANG) == 0 && clock.boot() < until)
        clock.sleep_until(clock.boot() + std::chrono::milliseconds(5));
}

}  // namespace

ProbeResult probe_encoder(const Candidate& candidate, Micros deadline) {
    ProbeResult out{.element = candidate.element};
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        out.detail = "no pipe for a child process";
        return out;
    }
    const Fd from(ends[0]);
    Fd to(ends[1]);
    const BootTime begin = system_clock().boot();
    const pid_t child = fork();
    if (child == 0) be_the_child(candidate, to.get());
    to.reset();
    if (child < 0) {
        out.detail = "no child process";
        return out;
    }
    bool in_time = false;
    const std::string text = await(from, deadline, in_time);
    bury(child);
    out.took = system_clock().boot() - begin;
    if (text.empty()) {
        out.detail = in_time ? "its process died" : "hangs";
        return out;
    }
    const std::size_t space = std::min(text.find(' '), text.size() - 1);
    out.frames = std::atoi(text.c_str());
    out.works = out.frames == kProbeFrames;
    const std::string words = text.substr(space + 1);
    const bool ended = words == "end of stream";
    out.detail = out.works ? "works"
                 : ended   ? fmt::format("gave {} of {} frames", out.frames, kProbeFrames)
                           : words;
    return out;
}

int run_probe(std::ostream& out) {
    const BoardFacts board = read_board_facts(real_file_system());
    std::string nodes;
    for (const std::string& n : board.nodes) nodes += (nodes.empty() ? "" : ",") + json_text(n);
    out << fmt::format(R"({{"board":{{"model":{},"nodes":[{}]}}}})", json_text(board.model), nodes)
        << "\n";
    const EncoderPlan plan = plan_encoders(board);
    for (const Excluded& e : plan.excluded)
        out << fmt::format(R"({{"excluded":{{"element":{},"why":{}}}}})", json_text(e.element),
                           json_text(e.why))
            << "\n";
    std::vector<ProbeResult> results;
    for (const Candidate& c : plan.candidates) {
        results.push_back(probe_encoder(c));
        const ProbeResult& r = results.back();
        out << fmt::format(
                   R"({{"probed":{{"element":{},"hardware":{},"works":{},"frames":{},"ms":{},"detail":{}}}}})",
                   json_text(r.element), c.hardware, r.works, r.frames, r.took.count() / 1000,
                   json_text(r.detail))
            << "\n"
            << std::flush;
        if (r.works) break;
    }
    const EncoderChoice choice = choose_encoder(plan, results);
    out << fmt::format(R"({{"choice":{{"encoder":{},"hardware":{},"why":{}}}}})",
                       choice.encoder ? json_text(choice.encoder->element) : "null",
                       choice.encoder && choice.encoder->hardware, json_text(choice.why))
        << "\n"
        << std::flush;
    return choice.encoder ? 0 : 1;
}

}  // namespace hd::ingest
