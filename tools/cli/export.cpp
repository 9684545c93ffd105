// export: the owner's own window as one MP4. Sealed clips come from the hub; they are opened here.
#include <filesystem>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/clip_joins.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/video_out.hpp"
#include "tools/cli/when.hpp"
#include "tools/cli/window_clips.hpp"

namespace hd::cli {
namespace {

struct ExportArgs {
    std::string from, to, camera, output;
    bool force = false;
};

// A folder for sealed clips on their way, gone with this object.
class TempFolder {
  public:
    static Result<TempFolder> make() {
        std::string path = std::filesystem::temp_directory_path() / "halfdoor-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) return errno_error(errno, "make " + path);
        return TempFolder(std::move(path));
    }
    explicit TempFolder(std::string path) : path_(std::move(path)) {}
    ~TempFolder() {
        if (!path_.empty()) real_file_system().remove_tree(path_).ignore();
    }
    TempFolder(TempFolder&& o) noexcept : path_(std::exchange(o.path_, {})) {}
    TempFolder& operator=(TempFolder&&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// Brings a sealed clip file here, chunk by chunk.
Result<void> download(wire::Client& hub, const std::string& clip, const std::string& path) {
    HD_ASSIGN(auto file, real_file_system().create(path));
    while (true) {
        wire::JsonWriter json;
        json.begin_object().field("clip", clip).field("offset", file->size());
        json.field("size", static_cast<std::uint64_t>(wire::kMaxChunkBytes)).end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "clip.read", json.text()));
        if (reply.binary.empty())
            return Error{ErrorCode::corrupt, clip + ": the hub sent no bytes"};
        HD_TRY(file->append(reply.binary.front()));
        const auto total = reply.body.int_or("file_bytes", 0);
        if (reply.binary.front().size() < wire::kMaxChunkBytes ||
            static_cast<std::int64_t>(file->size()) >= total)
            return {};
    }
}

// How far behind one another pictures can be decoded and shown, rounded up: a piece that begins
// behind the window may hold what the window's last pictures build on.
constexpr Micros kReordering = std::chrono::seconds(5);

// Which pieces of a clip a window needs: init, then from the last piece that begins with a key
// frame at or before its begin (else from the first one).
struct PieceChoice {
    std::size_t first = 0, last = 0;  // positions in the table, last not included
    bool any = false;
    bool keyed = false;  // there is a key frame at or before the window's begin
};
PieceChoice choose_pieces(const clip::ClipReader& reader, mux::Mp4Export::Part part) {
    PieceChoice out;
    const auto& table = reader.table();
    for (std::size_t i = 0; i < table.size(); ++i) {
        const clip::PieceIdentity& piece = table[i].identity;
        const Micros begin = piece.boot_begin - reader.header().boot_begin;
        // The sound of a piece of video stands behind it.
        if (piece.kind == clip::PieceKind::audio && out.last == i) out.last = i + 1;
        if (piece.kind != clip::PieceKind::video) continue;
        const bool wanted = begin < part.to;
        if (!wanted && (!out.any || begin - part.to >= kReordering)) continue;
        const bool key = piece.start != clip::PieceStart::none;
        if (!out.any || (key && begin <= part.from)) out.first = i;
        out.keyed = out.keyed || (key && begin <= part.from);
        out.any = true;
        out.last = i + 1;
    }
    return out;
}

// By the hub's listing, which knows the clock better than a clip of an unsynchronised boot.
WallTime utc_zero(const clip::ClipReader& reader, const ListedClip& listed) {
    if (reader.header().quality != ClockQuality::unsynchronised) return reader.header().utc_begin;
    const ClipPlace place = place_of(reader);
    return listed.begin + (place.zero - place.begin);
}

// A window of one camera on its way from the hub into files.
class WindowExport {
  public:
    struct Wiring {
        Context& ctx;
        wire::Client& hub;
        std::string camera;
        TimeSpan window;
        std::span<const seal::Identity> identities;
        VideoOut& video;
    };
    WindowExport(Wiring wiring, TempFolder temp) : w_(std::move(wiring)), temp_(std::move(temp)) {}

    Result<void> run(const std::vector<ListedClip>& clips) {
        Progress progress(w_.ctx, "clips exported", clips.size());
        std::uint64_t done = 0;
        for (const ListedClip& clip : clips) {
            HD_ASSIGN(const auto fetched, fetch(clip));
            if (fetched && !last_) HD_TRY(add_before(clip, fetched->reader));
            if (fetched) HD_TRY(add(clip, *fetched));
            progress.update(++done);
        }
        return {};
    }
    bool any() const { return any_; }

  private:
    // The sealed clip, here; nothing if it was deleted since it was listed.
    struct Fetched {
        std::string path;
        clip::ClipReader reader;
    };
    Result<std::optional<Fetched>> fetch(const ListedClip& clip) {
        std::string path = join(temp_.path(), fmt::format("{}.clip", ++fetched_));
        const auto brought = download(w_.hub, clip.path, path);
        if (!brought && brought.error().code == ErrorCode::not_found) {
            w_.ctx.warn(clip.path + " was deleted meanwhile");
            return std::optional<Fetched>{};
        }
        if (!brought) return brought.error().in(clip.path);
        auto reader = clip::ClipReader::open(real_file_system(), path);
        if (!reader) return reader.error().in(clip.path);
        return std::optional<Fetched>{Fetched{std::move(path), std::move(*reader)}};
    }

    // A window that begins between two key frames: what the first of them takes to be decoded.
    Result<void> add_before(const ListedClip& clip, const clip::ClipReader& reader) {
        const auto choice = choose_pieces(reader, part_of(clip, reader));
        if (!choice.any || choice.keyed || place_of(reader).keyed) return {};
        const clip::ClipHeader& header = reader.header();
        HD_ASSIGN(const auto before, clips_to_decode(w_.hub, w_.camera, clip, header));
        if (before.clips.empty()) {
            w_.ctx.warn(fmt::format("The video of {} begins without a key frame: {}.",
                                    short_time(clip.begin), before.missing));
            return {};
        }
        w_.ctx.note(
            fmt::format("The window begins between key frames: {} {} before it, from {} "
                        "on, fetched to decode it; what they show is hidden",
                        before.clips.size(), before.clips.size() == 1 ? "clip" : "clips",
                        short_time(before.clips.front().begin)));
        for (const ListedClip& one : before.clips) {
            HD_ASSIGN(const auto fetched, fetch(one));
            if (fetched) HD_TRY(add(one, *fetched));
        }
        return {};
    }

    mux::Mp4Export::Part part_of(const ListedClip& clip, const clip::ClipReader& reader) const {
        const WallTime zero = utc_zero(reader, clip);
        return {.from = std::max(Micros(0), w_.window.begin - zero), .to = w_.window.end - zero};
    }

    Result<void> add(const ListedClip& clip, const Fetched& fetched) {
        const clip::ClipReader& reader = fetched.reader;
        mux::Mp4Export::Part part = part_of(clip, reader);
        const PieceChoice choice = choose_pieces(reader, part);
        const ClipPlace place = place_of(reader);
        if (choice.any) {
            if (last_ && goes_on(*last_, place)) part.after = place.zero - last_->zero;
            last_ = place;
            HD_TRY(write(clip, reader, choice, part));
            any_ = true;
        }
        return real_file_system().remove(fetched.path);
    }

    Result<void> write(const ListedClip& clip, const clip::ClipReader& reader,
                       const PieceChoice& choice, mux::Mp4Export::Part part) {
        Bytes fragmented;
        for (std::size_t i = 0; i < reader.table().size(); ++i) {
            const clip::PieceKind kind = reader.table()[i].identity.kind;
            if (kind == clip::PieceKind::activity) continue;
            if (kind != clip::PieceKind::init && (i < choice.first || i >= choice.last)) continue;
            auto piece = reader.read_piece(i);
            if (!piece) return piece.error().in(clip.path);
            auto plain = open_piece(reader.header_bytes(), *piece, w_.identities);
            if (!plain) return plain.error().in(clip.path);
            fragmented.insert(fragmented.end(), plain->begin(), plain->end());
            wipe(*plain);
        }
        const auto done = w_.video.add_clip(fragmented, part);
        wipe(fragmented);
        if (!done) return done.error().in(clip.path);
        return {};
    }

    Wiring w_;
    TempFolder temp_;
    std::optional<ClipPlace> last_;
    std::uint64_t fetched_ = 0;
    bool any_ = false;
};

Result<int> export_verb(Context& ctx, ExportArgs& args) {
    HD_ASSIGN(const TimeSpan window, ctx.window(args.from, args.to));
    if (!args.force && real_file_system().exists(args.output))
        return with_next(Error{ErrorCode::invalid, args.output + " exists already"},
                         "choose another name with -o, or add --force to replace it");
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const std::string camera, pick_camera(hub, args.camera));
    HD_ASSIGN(const auto clips, list_clips(hub, camera, window, Unfinished::take));
    HD_ASSIGN(TempFolder temp, TempFolder::make());
    VideoOut video(args.output, args.force);
    WindowExport work({.ctx = ctx,
                       .hub = hub,
                       .camera = camera,
                       .window = window,
                       .identities = {&identity, 1},
                       .video = video},
                      std::move(temp));
    HD_TRY(work.run(clips));
    if (!work.any())
        return with_next(Error{ErrorCode::not_found, "this camera has no video in this window"},
                         "`halfdoor clips --gaps` shows what there is and why not");
    HD_ASSIGN(const auto files, video.finish());
    print_files(ctx, files);
    return say_dropped(ctx, video);
}

}  // namespace

void add_export_verb(Frame& frame) {
    auto a = std::make_shared<ExportArgs>();
    CLI::App* sub =
        frame.verb("Video", {"export", "Your own window as an MP4", std::string(kWhenHelp) + R"(
Sealed clips come from the hub and are opened here, with your key. One camera a file.
A window that begins between two key frames is decoded from the one before, however many clips ago
that was; what lies before the window is in the file, and hidden. Exit 1: some pictures (or all)
could not be shown, because the clip with their key frame is deleted; what plays is written, and the
others are counted.

  halfdoor export --from 14:00 --to 14:20 --camera door --key owner.key -o door.mp4
)"});
    sub->add_option("--from", a->from, "Begin")->required();
    sub->add_option("--to", a->to, "End, not included")->required();
    sub->add_option("--camera", a->camera, "Id or name (needed if there are several)");
    sub->add_option("-o,--output", a->output, "MP4 to write, mode 0600")->required();
    sub->add_flag("--force", a->force, "Replace existing files");
    frame.on(sub, a, export_verb);
}

}  // namespace hd::cli
