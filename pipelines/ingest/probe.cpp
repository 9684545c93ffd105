#include "pipelines/ingest/probe.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <ostream>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/board_facts.hpp"
#include "pipelines/ingest/encoder_lines.hpp"
#include "pipelines/ingest/gst_handles.hpp"
#include "pipelines/ingest/gst_start.hpp"

namespace hd::ingest {
namespace {

// After SIGKILL a process that sits in a driver may not die; we do not wait for it for ever.
constexpr Micros kBurial = std::chrono::milliseconds(500);
// Software is measured with pictures of this size.
constexpr unsigned kMeasuredWidth = 1280, kMeasuredHeight = 720;

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

// Of all threads of this process.
std::int64_t cpu_micros() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

// Those that we may use.
std::int64_t processors() {
    cpu_set_t ours;
    CPU_ZERO(&ours);
    return sched_getaffinity(0, sizeof ours, &ours) == 0 ? std::max(1, CPU_COUNT(&ours)) : 1;
}

// Frames that came out, and what they cost. Not how long they took: the hub is busiest when it
// starts, and what it believes then holds for as long as it runs.
struct Counted {
    std::atomic<int> frames{0};
    std::atomic<std::int64_t> first_us{0}, last_us{0};

    static void on_frame(GstElement*, GstBuffer*, GstPad*, gpointer counted) {
        auto& c = *static_cast<Counted*>(counted);
        c.last_us = cpu_micros();
        if (c.frames++ == 0) c.first_us = c.last_us.load();
    }
    // With all processors at work.
    std::int64_t micros_per_frame() const {
        return frames > 1 ? (last_us - first_us) / (frames - 1) / processors() : 0;
    }
};

// Software is also measured, at the size that the budget is spoken of.
std::string probe_line(const Candidate& c, const EncoderLine& line) {
    return fmt::format(
        "videotestsrc num-buffers={} pattern=ball ! "
        "video/x-raw,format=I420,width={},height={},framerate=25/1 ! {} ! {} {} ! {} ! h264parse ! "
        "fakesink name=end signal-handoffs=true sync=false async=false",
        kProbeFrames, c.hardware ? 640 : kMeasuredWidth, c.hardware ? 480 : kMeasuredHeight,
        line.before, c.element, line.properties, line.after);
}

// What a child writes to its parent: frames, microseconds of processor a frame, then a phrase.
std::string encode_frames(const Candidate& c) {
    if (auto ready = init_gstreamer(); !ready) return "0 0 " + ready.error().what;
    const GstElementPtr encoder = make_element(c.element.c_str());
    if (!encoder) return "0 0 not installed";
    const auto how = encoder_line(c.element, EncodeTarget{});
    if (!how) return "0 0 not an encoder that we know";
    GError* raw = nullptr;
    GstElement* made = gst_parse_launch(probe_line(c, *how).c_str(), &raw);
    const GErrorPtr error{raw};
    if (made) gst_object_ref_sink(made);
    const GstElementPtr pipeline{made};
    if (!pipeline || error) return fmt::format("0 0 {}", error ? error->message : "does not link");
    Counted counted;
    const GstElementPtr end{gst_bin_get_by_name(GST_BIN(pipeline.get()), "end")};
    g_signal_connect(end.get(), "handoff", G_CALLBACK(&Counted::on_frame), &counted);
    gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
    const GstBusPtr bus{gst_element_get_bus(pipeline.get())};
    GstMessage* message = gst_bus_timed_pop_filtered(
        bus.get(), GST_CLOCK_TIME_NONE,
        static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS));
    std::string words = "end of stream";
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError* why = nullptr;
        gst_message_parse_error(message, &why, nullptr);
        words = GErrorPtr { why } -> message;
    }
    return fmt::format("{} {} {}", counted.frames.load(), counted.micros_per_frame(), words);
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

// "12 1700 end of stream"
void read_answer(const std::string& text, ProbeResult& out) {
    int micros = 0, words_at = 0;
    if (std::sscanf(text.c_str(), "%d %d %n", &out.frames, &micros, &words_at) < 2) return;
    out.works = out.frames == kProbeFrames;
    if (out.works && micros > 0)
        out.pixels_per_s = std::uint64_t{kMeasuredWidth} * kMeasuredHeight * 1'000'000 /
                           static_cast<std::uint64_t>(micros);
    const std::string words = text.substr(static_cast<std::size_t>(words_at));
    out.detail = out.works ? "works"
                 : words == "end of stream"
                     ? fmt::format("gave {} of {} frames", out.frames, kProbeFrames)
                     : words;
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
    read_answer(text, out);
    return out;
}

int run_probe(std::ostream& out) {
    const BoardFacts board = read_board_facts(real_file_system(), v4l2_defect);
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
    }
    const EncoderChoice choice = choose_encoder(plan, results);
    std::string names;
    for (const std::string& e : choice.encoders) names += (names.empty() ? "" : ",") + json_text(e);
    out << fmt::format(
               R"({{"choice":{{"encoders":[{}],"why":{},"hardware_pixels_per_s":{},"hardware_why":{},"software_pixels_per_s":{}}}}})",
               names, json_text(choice.why), choice.hardware.pixels_per_s,
               json_text(choice.hardware.why), choice.software_pixels_per_s)
        << "\n"
        << std::flush;
    return choice.encoders.empty() ? 1 : 0;
}

}  // namespace hd::ingest
