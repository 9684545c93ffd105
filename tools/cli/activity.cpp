// activity: how much of the picture changed, from the owner's own sealed pieces.
#include "index/clip/activity.hpp"

#include <fmt/format.h>

#include "tools/cli/app.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/video_out.hpp"
#include "tools/cli/when.hpp"
#include "tools/cli/window_clips.hpp"

namespace hd::cli {
namespace {

struct ActivityArgs {
    std::string from, to, camera;
};

struct Shown {
    std::uint64_t scores = 0, without = 0;
};

Result<void> show_clip(Context& ctx, wire::Client& hub, const ListedClip& listed, TimeSpan window,
                       std::span<const seal::Identity> identities, Shown& shown) {
    HD_ASSIGN(const SealedPieces sealed, read_pieces(hub, listed.path, clip::PieceKind::activity));
    for (const clip::PieceFile& piece : sealed.pieces) {
        HD_ASSIGN(const Bytes plain, open_piece(sealed.header.bytes, piece, identities));
        HD_ASSIGN(const clip::Activity activity, clip::decode_activity(plain));
        shown.without += activity.skipped;
        for (const clip::ActivityScore& score : activity.scores) {
            // By the hub's listing, which knows the clock better than a clip of an unsynchronised
            // boot.
            const WallTime at = listed.begin + (score.at - sealed.header.header.boot_begin);
            if (at < window.begin || at >= window.end) continue;
            shown.without += score.changed ? 0 : 1;
            if (!score.changed) continue;
            ++shown.scores;
            ctx.out.row(
                {{"time", at}, {"changed_per_1000", *score.changed}, {"clip", listed.path}});
        }
    }
    return {};
}

Result<int> activity_verb(Context& ctx, ActivityArgs& args) {
    HD_ASSIGN(const TimeSpan window, ctx.window(args.from, args.to));
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const std::string camera, pick_camera(hub, args.camera));
    HD_ASSIGN(const auto clips, list_clips(hub, camera, window, Unfinished::leave_out));
    Progress progress(ctx, "clips read", clips.size());
    Shown shown;
    std::uint64_t done = 0;
    for (const ListedClip& clip : clips) {
        const auto one = show_clip(ctx, hub, clip, window, {&identity, 1}, shown);
        if (!one) return one.error().in(clip.path);
        progress.update(++done);
    }
    ctx.out.end_list("No score in this window: set activity = true for the camera.");
    if (shown.without > 0) ctx.note(fmt::format("{} key frames have no score", shown.without));
    return kOk;
}

}  // namespace

void add_activity_verb(Frame& frame) {
    auto a = std::make_shared<ActivityArgs>();
    CLI::App* sub = frame.verb(
        "Video", {"activity", "How much of a camera's picture changed", std::string(kWhenHelp) + R"(
For cameras with `activity = true`. A line for each key frame: how many of a thousand blocks of the picture
changed since the key frame before. 0 is a scene that stands still; a switch to night vision is near 1000.
The scores are sealed like the video and opened here, with your key. Finished clips only.

  halfdoor activity --from -1h --to now --camera door --key owner.key --tsv
)"});
    sub->add_option("--from", a->from, "Begin")->required();
    sub->add_option("--to", a->to, "End, not included")->required();
    sub->add_option("--camera", a->camera, "Id or name (needed if there are several)");
    frame.on(sub, a, activity_verb);
}

}  // namespace hd::cli
