// export: the owner's own window as one MP4. Sealed clips come from the hub; they are opened here.
#include <filesystem>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
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

// Which pieces a window needs: init, then from the last piece that begins with a key frame at or
// before its begin.
struct PieceChoice {
    std::size_t first = 0, last = 0;  // positions in the table, last not included
    bool any = false;
};
PieceChoice choose_pieces(const std::vector<clip::PieceEntry>& table, TimeSpan window) {
    PieceChoice out;
    for (std::size_t i = 0; i < table.size(); ++i) {
        const clip::PieceIdentity& piece = table[i].identity;
        // The sound of a piece of video stands behind it.
        if (piece.kind == clip::PieceKind::audio && out.last == i) out.last = i + 1;
        if (piece.kind != clip::PieceKind::video || piece.utc_begin >= window.end) continue;
        const bool key = piece.start != clip::PieceStart::none;
        if (!out.any || (key && piece.utc_begin <= window.begin)) out.first = i;
        out.any = true;
        out.last = i + 1;
    }
    return out;
}

Result<bool> add_clip(const std::string& path, const ListedClip& listed, TimeSpan window,
                      std::span<const seal::Identity> identities, VideoOut& video) {
    auto reader = clip::ClipReader::open(real_file_system(), path);
    if (!reader) return reader.error().in(listed.path);
    const auto& table = reader->table();
    const PieceChoice choice = choose_pieces(table, window);
    if (!choice.any) return false;
    Bytes fragmented;
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (table[i].identity.kind == clip::PieceKind::activity) continue;
        const bool init = table[i].identity.kind == clip::PieceKind::init;
        if (!init && (i < choice.first || i >= choice.last)) continue;
        auto piece = reader->read_piece(i);
        if (!piece) return piece.error().in(listed.path);
        auto plain = open_piece(reader->header_bytes(), *piece, identities);
        if (!plain) return plain.error().in(listed.path);
        fragmented.insert(fragmented.end(), plain->begin(), plain->end());
        wipe(*plain);
    }
    // By the hub's listing, which knows the clock better than a clip of an unsynchronised boot.
    const WallTime zero = reader->header().utc_begin;
    mux::Mp4Export::Part part;
    part.from = std::max(Micros(0), window.begin - zero);
    part.to = window.end - zero;
    const auto done = video.add_clip(fragmented, part);
    wipe(fragmented);
    if (!done) return done.error().in(listed.path);
    return true;
}

Result<int> export_verb(Context& ctx, ExportArgs& args) {
    HD_ASSIGN(const TimeSpan window, ctx.window(args.from, args.to));
    if (!args.force && real_file_system().exists(args.output))
        return with_next(Error{ErrorCode::invalid, args.output + " exists already"},
                         "choose another name with -o, or add --force to replace it");
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const std::string camera, pick_camera(hub, args.camera));
    HD_ASSIGN(const auto clips, list_clips(hub, camera, window, Unfinished::take));
    HD_ASSIGN(const TempFolder temp, TempFolder::make());
    VideoOut video(args.output, args.force);
    Progress progress(ctx, "clips exported", clips.size());
    std::uint64_t done = 0, used = 0;
    for (const ListedClip& clip : clips) {
        const std::string path = join(temp.path(), "sealed.clip");
        const auto brought = download(hub, clip.path, path);
        if (!brought) return brought.error().in(clip.path);
        HD_ASSIGN(const bool added, add_clip(path, clip, window, {&identity, 1}, video));
        used += added ? 1 : 0;
        HD_TRY(real_file_system().remove(path));
        progress.update(++done);
    }
    if (used == 0)
        return with_next(Error{ErrorCode::not_found, "this camera has no video in this window"},
                         "`halfdoor clips --gaps` shows what there is and why not");
    HD_ASSIGN(const auto files, video.finish());
    print_files(ctx, files);
    return kOk;
}

}  // namespace

void add_export_verb(Frame& frame) {
    auto a = std::make_shared<ExportArgs>();
    CLI::App* sub =
        frame.verb("Video", {"export", "Your own window as an MP4", std::string(kWhenHelp) + R"(
Sealed clips come from the hub and are opened here, with your key. One camera a file.

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
