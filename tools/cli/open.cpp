// open and verify: sealed clips (the owner) or a release (a requester) into video that plays.
#include <filesystem>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/asks.hpp"
#include "tools/cli/clip_joins.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/video_out.hpp"

namespace hd::cli {
namespace {

struct OpenArgs {
    std::vector<std::string> files;
    std::string output;
    bool fragments = false;
    bool force = false;
    TrustOptions trust;
};

struct VerifyArgs {
    std::string folder;
    TrustOptions trust;
};

// One clip's opened pieces: init, then media, and what they are.
struct OpenedClip {
    std::string clip;
    Bytes fragmented;
    std::uint64_t frames = 0;
    std::size_t pieces = 0;
    Micros length{0};
};

// Gathers the verified pieces of a release, clip by clip.
class ReleaseClips {
  public:
    explicit ReleaseClips(std::vector<OpenedClip>& out) : out_(out) {}
    Result<void> piece(const consent::VerifiedPiece& piece) {
        const std::string clip = to_string(piece.identity.clip);
        if (out_.empty() || out_.back().clip != clip) out_.push_back({clip, {}, 0, 0, Micros(0)});
        OpenedClip& now = out_.back();
        now.fragmented.insert(now.fragmented.end(), piece.plain.begin(), piece.plain.end());
        if (piece.identity.kind == clip::PieceKind::video) {
            now.frames += piece.identity.frames;
            now.length += piece.identity.boot_end - piece.identity.boot_begin;
        }
        ++now.pieces;
        return {};
    }

  private:
    std::vector<OpenedClip>& out_;
};

Result<OpenedClip> open_pieces(const clip::ClipReader& reader, const std::string& path,
                               std::span<const seal::Identity> identities) {
    OpenedClip out;
    out.clip = to_string(reader.header().clip);
    for (std::size_t i = 0; i < reader.table().size(); ++i) {
        if (reader.table()[i].identity.kind == clip::PieceKind::activity) continue;
        auto piece = reader.read_piece(i);
        if (!piece) return piece.error().in(path);
        auto plain = open_piece(reader.header_bytes(), *piece, identities);
        if (!plain) return plain.error().in(path);
        out.fragmented.insert(out.fragmented.end(), plain->begin(), plain->end());
        wipe(*plain);
        if (piece->identity.kind == clip::PieceKind::video) {
            out.frames += piece->identity.frames;
            out.length += piece->identity.boot_end - piece->identity.boot_begin;
        }
        ++out.pieces;
    }
    return out;
}

Result<void> write_clip(const OpenArgs& args, VideoOut& video, OpenedClip& clip,
                        mux::Mp4Export::Part part = {}) {
    Result<void> done;
    if (clip.pieces > 0)
        done = args.fragments ? video.add_fragmented(clip.fragmented, clip.frames, clip.length)
                              : video.add_clip(clip.fragmented, part);
    wipe(clip.fragmented);
    if (!done) return done.error().in("clip " + clip.clip);
    return {};
}

using ClipDigests = std::vector<std::pair<std::string, Digest>>;

// Clip files, in the order that they were given in, as one stream where one goes on with another.
class ClipFiles {
  public:
    struct Wiring {
        Context& ctx;
        const OpenArgs& args;
        std::span<const seal::Identity> identities;
        VideoOut& video;
    };
    explicit ClipFiles(Wiring wiring) : w_(wiring) {}

    Result<void> add(const std::string& path, ClipDigests& digests) {
        auto reader = clip::ClipReader::open(real_file_system(), path);
        if (!reader) return reader.error().in(path);
        HD_ASSIGN(OpenedClip opened, open_pieces(*reader, path, w_.identities));
        digests.emplace_back(opened.clip, sha256(opened.fragmented));
        const ClipPlace place = place_of(*reader);
        const bool follows = last_ && goes_on(*last_, place);
        if (!follows && !place.keyed && !w_.args.fragments) HD_TRY(add_before(path, place));
        return write(opened, place, Micros(0));
    }
    // Why a clip that begins without a key frame lacks pictures; the first one.
    const std::string& missing() const { return missing_; }

  private:
    // What it takes to decode a clip that begins without a key frame, hidden in front of it.
    Result<void> add_before(const std::string& path, const ClipPlace& place) {
        FileSystem& fs = real_file_system();
        const ClipsBefore before = clips_before(fs, path, place);
        if (before.files.empty()) {
            const std::string what =
                fmt::format("{} begins without a key frame: {}", path, before.missing);
            w_.ctx.warn(what);
            if (missing_.empty()) missing_ = what;
            return {};
        }
        // Nothing can be hidden in the middle of a file.
        if (last_) HD_TRY(w_.video.begin_another());
        w_.ctx.note(
            fmt::format("{} begins without a key frame: decoded from {} {} before it, from "
                        "{} on; what they show is hidden",
                        path, before.files.size(), before.files.size() == 1 ? "clip" : "clips",
                        before.files.front()));
        last_.reset();
        for (const std::string& file : before.files) {
            auto reader = clip::ClipReader::open(fs, file);
            if (!reader) return reader.error().in(file);
            const ClipPlace its = place_of(*reader);
            HD_ASSIGN(OpenedClip opened, open_pieces(*reader, file, w_.identities));
            HD_TRY(write(opened, its, place.begin - its.zero));
        }
        return {};
    }

    Result<void> write(OpenedClip& opened, const ClipPlace& place, Micros from) {
        mux::Mp4Export::Part part{.from = from};
        if (last_ && goes_on(*last_, place)) part.after = place.zero - last_->zero;
        last_ = place;
        return write_clip(w_.args, w_.video, opened, part);
    }

    Wiring w_;
    std::optional<ClipPlace> last_;
    std::string missing_;
};

void print_clips(Context& ctx, const ClipDigests& clips) {
    // The pieces, opened and concatenated, are the same bytes for everybody who may open them.
    for (const auto& [clip, digest] : clips)
        ctx.note(fmt::format("clip {}: opened pieces concatenated have SHA-256 {}", clip,
                             to_hex(digest)));
}

Result<int> open_verb(Context& ctx, OpenArgs& args) {
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    const std::span<const seal::Identity> identities(&identity, 1);
    if (!args.force && real_file_system().exists(args.output))
        return with_next(Error{ErrorCode::invalid, args.output + " exists already"},
                         "choose another name with -o, or add --force to replace it");
    VideoOut video(args.output, args.force);
    ClipDigests clips;
    ClipFiles files({ctx, args, identities, video});
    Progress progress(ctx, "opened", args.files.size());
    std::uint64_t done = 0;
    for (const std::string& path : args.files) {
        if (std::filesystem::is_directory(path)) {
            std::vector<OpenedClip> opened;
            ReleaseClips gather(opened);
            HD_ASSIGN(const consent::ReleaseTrust trust,
                      release_trust(ctx, args.trust, std::nullopt, path, identities));
            auto summary = consent::verify_release_folder(
                real_file_system(), path, trust,
                [&](const consent::VerifiedPiece& piece) { return gather.piece(piece); });
            if (!summary) return summary.error().in(path);
            for (OpenedClip& clip : opened) {
                clips.emplace_back(clip.clip, sha256(clip.fragmented));
                HD_TRY(write_clip(args, video, clip));
            }
        } else {
            HD_TRY(files.add(path, clips));
        }
        progress.update(++done);
    }
    auto written = video.finish();
    if (!written && !files.missing().empty())
        return Error{written.error().code, files.missing() + "; " + written.error().what};
    if (!written) return written.error();
    print_files(ctx, *written);
    print_clips(ctx, clips);
    return say_dropped(ctx, video);
}

Result<int> verify_verb(Context& ctx, VerifyArgs& args) {
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    const std::span<const seal::Identity> identities(&identity, 1);
    HD_ASSIGN(const consent::ReleaseTrust trust,
              release_trust(ctx, args.trust, std::nullopt, args.folder, identities));
    Progress progress(ctx, "verified pieces", 0);
    std::uint64_t done = 0;
    HD_ASSIGN(const consent::ReleaseSummary summary,
              consent::verify_release_folder(real_file_system(), args.folder, trust,
                                             [&](const consent::VerifiedPiece&) -> Result<void> {
                                                 progress.update(++done);
                                                 return {};
                                             }));
    ctx.out.facts({{"release", args.folder},
                   {"request", to_string(ledger::request_id(summary.grant.grant.request))},
                   {"granted_by", summary.granter},
                   {"clips", summary.clips},
                   {"pieces", summary.pieces},
                   {"frames", summary.frames},
                   {"bytes", summary.video_bytes, short_bytes(summary.video_bytes)},
                   {"verified", "signatures, hashes, header MACs, identities, windows"}});
    return kOk;
}

}  // namespace

void add_trust_options(CLI::App* sub, TrustOptions& trust) {
    sub->add_option("--owner-card", trust.owner_cards,
                    "Release: card of the hub's owner (or an approver), whose grants count");
    sub->add_option("--saved", trust.saved, "Release: the folder of `ask --save`");
}

void add_open_verbs(Frame& frame) {
    auto open = std::make_shared<OpenArgs>();
    CLI::App* sub = frame.verb(
        "Video",
        {"open", "Open clips or a release into an MP4",
         R"(The owner opens clip files; a requester opens a release folder. Each piece must bind the clip
and identity it stands for, and have its recorded hash: otherwise nothing is opened of it.
Several clips make one MP4; where the codec parameters change, another file is begun (-2, -3).
A clip of a camera with rare key frames may begin without one: it goes on from the clip before it,
or is decoded from those beside it in its folder, which are then hidden in the MP4. Exit 1: some
pictures (or all) could not be shown, because the clip with their key frame is not there; what plays
is written, and the others are counted.

  halfdoor open --key owner.key clips/0b1f.../2026-11-22/1300*.clip -o door.mp4
  halfdoor open --key police.key release/ -o released.mp4
  age -d FILE | halfdoor open --key - ...              a key that is protected with a passphrase
)"});
    sub->add_option("file", open->files, "Clip files, or release folders")->required();
    sub->add_option("-o,--output", open->output, "MP4 to write, mode 0600")->required();
    sub->add_flag("--fragments", open->fragments,
                  "Write the opened pieces as they are, one fragmented MP4 a clip");
    sub->add_flag("--force", open->force, "Replace existing files");
    add_trust_options(sub, open->trust);
    frame.on(sub, open, open_verb);

    auto verify = std::make_shared<VerifyArgs>();
    sub = frame.verb("Video", {"verify", "Verify a release folder without opening a file",
                               "  halfdoor verify --key police.key --owner-card owner.card "
                               "release/\n\nExit 0: all of it holds. 1: refused, 4: damaged; the "
                               "error names clip, piece and check.\n"});
    sub->add_option("folder", verify->folder, "The release folder")->required();
    add_trust_options(sub, verify->trust);
    frame.on(sub, verify, verify_verb);
}

}  // namespace hd::cli
