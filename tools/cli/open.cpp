// open and verify: sealed clips (the owner) or a release (a requester) into video that plays.
#include <filesystem>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/asks.hpp"
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

Result<OpenedClip> open_clip_file(const std::string& path,
                                  std::span<const seal::Identity> identities) {
    auto reader = clip::ClipReader::open(real_file_system(), path);
    if (!reader) return reader.error().in(path);
    OpenedClip out;
    out.clip = to_string(reader->header().clip);
    for (std::size_t i = 0; i < reader->table().size(); ++i) {
        if (reader->table()[i].identity.kind == clip::PieceKind::activity) continue;
        auto piece = reader->read_piece(i);
        if (!piece) return piece.error().in(path);
        auto plain = open_piece(reader->header_bytes(), *piece, identities);
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

Result<void> write_clip(OpenArgs& args, VideoOut& video, OpenedClip& clip) {
    if (clip.pieces == 0) return {};
    auto done = args.fragments ? video.add_fragmented(clip.fragmented, clip.frames, clip.length)
                               : video.add_clip(clip.fragmented, {});
    if (!done) return done.error().in("clip " + clip.clip);
    return {};
}

void print_clips(Context& ctx, const std::vector<std::pair<std::string, Digest>>& clips) {
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
    std::vector<std::pair<std::string, Digest>> clips;
    const auto take = [&](OpenedClip& clip) -> Result<void> {
        clips.emplace_back(clip.clip, sha256(clip.fragmented));
        HD_TRY(write_clip(args, video, clip));
        wipe(clip.fragmented);
        return {};
    };
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
            for (OpenedClip& clip : opened) HD_TRY(take(clip));
        } else {
            HD_ASSIGN(OpenedClip clip, open_clip_file(path, identities));
            HD_TRY(take(clip));
        }
        progress.update(++done);
    }
    HD_ASSIGN(const auto files, video.finish());
    print_files(ctx, files);
    print_clips(ctx, clips);
    return kOk;
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
