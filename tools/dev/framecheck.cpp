// halfdoor-framecheck: counts lost and repeated frames in files recorded from
// `halfdoor-replay --counter`.
#include <algorithm>
#include <cstring>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "index/base/files.hpp"
#include "tools/dev/frame_tally.hpp"
#include "tools/replay/av_handles.hpp"

namespace hd::dev {
namespace {

using replay::av_error;

constexpr std::uint64_t kMaxFileBytes = 1ull << 30;
constexpr int kIoBytes = 64 * 1024;

constexpr const char* kFooter =
    R"(Files are taken in the given order as one recording of one camera. A file that begins with a
movie fragment (an opened video piece) continues the file before it, so the pieces of a clip can
be given one by one: init piece first.

Exit codes: 0 complete, 1 frames are missing, repeated or without a number, 2 a file cannot be
read.)";

// Consecutive files that make one readable one.
struct Part {
    std::string name;  // of its first file
    Bytes bytes;
};

bool continues(ByteView file) {
    if (file.size() < 8) return false;
    const std::string_view type = as_text(file.subspan(4, 4));
    return type == "moof" || type == "styp" || type == "mdat" || type == "uuid" || type == "prft";
}

Result<std::vector<Part>> read_parts(const std::vector<std::string>& files) {
    std::vector<Part> parts;
    for (const std::string& file : files) {
        HD_ASSIGN(Bytes bytes, real_file_system().read(file, kMaxFileBytes));
        if (continues(bytes) && !parts.empty())
            parts.back().bytes.insert(parts.back().bytes.end(), bytes.begin(), bytes.end());
        else
            parts.push_back({file, std::move(bytes)});
    }
    return parts;
}

// libav reads a part from memory.
struct Cursor {
    ByteView bytes;
    std::size_t at = 0;
};

int read_bytes(void* opaque, std::uint8_t* out, int size) {
    auto& in = *static_cast<Cursor*>(opaque);
    const std::size_t n = std::min(static_cast<std::size_t>(size), in.bytes.size() - in.at);
    if (n == 0) return AVERROR_EOF;
    std::memcpy(out, in.bytes.data() + in.at, n);
    in.at += n;
    return static_cast<int>(n);
}

std::int64_t seek_bytes(void* opaque, std::int64_t offset, int whence) {
    auto& in = *static_cast<Cursor*>(opaque);
    const auto size = static_cast<std::int64_t>(in.bytes.size());
    if (whence == AVSEEK_SIZE) return size;
    const std::int64_t base = whence == SEEK_CUR   ? static_cast<std::int64_t>(in.at)
                              : whence == SEEK_END ? size
                                                   : 0;
    if (base + offset < 0 || base + offset > size) return AVERROR(EINVAL);
    in.at = static_cast<std::size_t>(base + offset);
    return base + offset;
}

struct AvioFree {
    void operator()(AVIOContext* io) const {
        av_freep(&io->buffer);
        avio_context_free(&io);
    }
};

Result<void> tally_part(const Part& part, FrameTally& tally) {
    Cursor cursor{part.bytes};
    const std::unique_ptr<AVIOContext, AvioFree> io{
        avio_alloc_context(static_cast<unsigned char*>(av_malloc(kIoBytes)), kIoBytes, 0, &cursor,
                           read_bytes, nullptr, seek_bytes)};
    AVFormatContext* raw = avformat_alloc_context();
    if (!io || !raw) return Error{ErrorCode::exhausted, "no memory"};
    raw->pb = io.get();
    if (const int rc = avformat_open_input(&raw, nullptr, nullptr, nullptr); rc < 0)
        return av_error(rc, part.name);
    const replay::AvInput input{raw};
    if (const int rc = avformat_find_stream_info(raw, nullptr); rc < 0)
        return av_error(rc, part.name);
    const int video = av_find_best_stream(raw, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (video < 0) return Error{ErrorCode::invalid, part.name + ": has no video track"};
    const replay::AvPacketPtr packet{av_packet_alloc()};
    while (av_read_frame(raw, packet.get()) >= 0) {
        if (packet->stream_index == video)
            tally.add({packet->data, static_cast<std::size_t>(packet->size)},
                      (packet->flags & AV_PKT_FLAG_KEY) != 0, part.name);
        av_packet_unref(packet.get());
    }
    return {};
}

void print_json(const FrameTally& t, std::size_t files) {
    std::string gaps;
    for (const FrameGap& g : t.gaps)
        gaps +=
            fmt::format(R"({}{{"after":{},"missing":{},"sent_before_us":{},"sent_after_us":{}}})",
                        gaps.empty() ? "" : ",", g.after, g.missing, g.sent_before_ns / 1000,
                        g.sent_after_ns / 1000);
    const auto number = [](std::optional<std::uint64_t> n) {
        return n ? std::to_string(*n) : std::string("null");
    };
    fmt::print(R"({{"complete":{},"files":{},"packets":{},"counted":{},"first":{},"last":{},)"
               R"("first_sent_us":{},"last_sent_us":{},"missing":{},"repeated":{},)"
               R"("key_frames":{},"gaps":[{}]}})"
               "\n",
               t.complete(), files, t.packets, t.counted, number(t.first), number(t.last),
               t.first_sent_ns / 1000, t.last_sent_ns / 1000, t.missing, t.repeated, t.key_frames,
               gaps);
}

void print_text(const FrameTally& t, std::size_t files) {
    fmt::print("{} files, {} frames ({} key), {} with a number", files, t.packets, t.key_frames,
               t.counted);
    if (t.first) fmt::print(", {} to {}", *t.first, *t.last);
    fmt::print("; {} missing, {} repeated\n", t.missing, t.repeated);
    for (const FrameGap& g : t.gaps)
        fmt::print("  {} missing after number {} ({})\n", g.missing, g.after, g.where);
}

int run(int argc, char** argv) {
    CLI::App app("Counts lost and repeated frames in recordings of halfdoor-replay --counter.",
                 "halfdoor-framecheck");
    std::vector<std::string> files;
    bool json = false;
    app.add_option("FILE", files, "MP4 or MKV files, or opened pieces, in order")->required();
    app.add_flag("--json", json, "Print one JSON object");
    app.footer(kFooter);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    av_log_set_level(AV_LOG_FATAL);
    FrameTally tally;
    const auto done = [&]() -> Result<void> {
        HD_ASSIGN(const auto parts, read_parts(files));
        for (const Part& part : parts) HD_TRY(tally_part(part, tally));
        return {};
    }();
    if (!done) {
        fmt::print(stderr, "halfdoor-framecheck: {}\n", done.error().what);
        return 2;
    }
    json ? print_json(tally, files.size()) : print_text(tally, files.size());
    return tally.complete() ? 0 : 1;
}

}  // namespace
}  // namespace hd::dev

int main(int argc, char** argv) { return hd::dev::run(argc, argv); }
