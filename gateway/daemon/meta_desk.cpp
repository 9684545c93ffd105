#include "gateway/daemon/meta_desk.hpp"

#include <algorithm>

#include "gateway/wire/fields.hpp"

namespace hd::daemon {

using wire::JsonFields;
using wire::JsonWriter;

namespace {

// Of one answer: 1.7 MB of JSON beside 5,000 clips, well inside what a client takes.
constexpr std::uint32_t kMaxGaps = 10'000;
// Of clips that wait for the clock: a boot that never gets the time, one clip a minute of eight
// cameras, for ten hours.
constexpr std::uint32_t kMaxPending = 5000;

void write_gap(JsonWriter& out, const store::GapRow& gap) {
    out.begin_object().field("camera", gap.camera).field("begin", gap.begin);
    if (gap.end) out.field("end", *gap.end);
    out.field("cause", journal::to_string(gap.cause)).end_object();
}

}  // namespace

VerbResult MetaDesk::cameras(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    JsonWriter out;
    out.begin_object().key("cameras").begin_array();
    for (const auto& [id, camera] : wiring_.board.cameras()) {
        out.begin_object()
            .field("camera", id)
            .field("name", camera.name)
            .field("state", camera.state)
            .field("enabled", camera.enabled)
            .field("encode", camera.encode)
            .field("since", camera.since)
            .end_object();
    }
    out.end_array().end_object();
    return VerbReply{std::move(out).take(), {}};
}

Result<std::vector<CameraId>> MetaDesk::cameras_of(const std::vector<std::string>& words) const {
    std::vector<CameraId> out;
    for (const std::string& word : words) {
        std::optional<CameraId> id = wiring_.board.camera_named(word);
        if (!id) {
            auto parsed = parse_id<CameraId>(word, "cameras");
            if (!parsed) {
                return Error{ErrorCode::invalid,
                             "cameras: must be camera ids or names of configured cameras"};
            }
            id = *parsed;
        }
        if (std::ranges::find(out, *id) == out.end()) out.push_back(*id);
    }
    return out;
}

// Gaps stand on the first page, whatever part of the clips that page has.
Result<void> MetaDesk::write_gaps(JsonWriter& out, const store::WindowQuery& query) const {
    HD_ASSIGN(
        const auto answer,
        wiring_.store.gaps({.window = query.window, .cameras = query.cameras, .limit = kMaxGaps}));
    out.key("gaps").begin_array();
    for (const store::GapRow& gap : answer.gaps) write_gap(out, gap);
    out.end_array();
    if (answer.until) out.field("gaps_until", *answer.until);
    return {};
}

// Clips whose UTC is not known stand at the end, if what their files say lies in the window.
Result<void> MetaDesk::add_pending(ClipLines& lines, const store::WindowQuery& query) const {
    HD_ASSIGN(const auto pending, wiring_.store.pending(kMaxPending));
    for (const store::PendingClip& clip : pending) {
        const bool asked = query.cameras.empty() ||
                           std::ranges::find(query.cameras, clip.row.camera) != query.cameras.end();
        if (asked && clip.row.span().overlaps(query.window)) lines.add(clip.row, "pending");
    }
    return {};
}

VerbResult MetaDesk::clips(const wire::Request& request) const {
    JsonFields in(request.body);
    store::WindowQuery query;
    query.window = wire::read_window(in);
    const auto words = in.texts_or_empty("cameras", config::kMaxCameras, 128);
    query.limit = static_cast<std::uint32_t>(in.integer_or("limit", 500, {1, 5000}));
    query.cursor = wire::read_cursor(in);
    const bool gaps = in.boolean_or("gaps", false);
    query.with_open = in.boolean_or("open", false);
    HD_TRY(in.finish());
    HD_ASSIGN(query.cameras, cameras_of(words));
    HD_ASSIGN(const auto answer, wiring_.store.window(query));

    ClipLines lines(answer.clips.size());
    for (const store::ClipRow& row : answer.clips) lines.add(row, row.open ? "open" : "closed");
    if (answer.next_cursor.empty()) HD_TRY(add_pending(lines, query));
    JsonWriter out;
    out.begin_object().key("clips").raw(std::move(lines).take());
    if (gaps && query.cursor.empty()) HD_TRY(write_gaps(out, query));
    if (!answer.next_cursor.empty()) out.field("cursor", answer.next_cursor);
    out.field("complete_from", answer.complete_from.value_or(WallTime{})).end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult MetaDesk::clip_read(const wire::Request& request) const {
    JsonFields in(request.body);
    const std::string path = in.text("clip", 200);
    const std::int64_t offset = in.integer("offset", {0, INT64_MAX / 2});
    const std::int64_t size =
        in.integer("size", {1, static_cast<std::int64_t>(wire::kMaxChunkBytes)});
    auto name = clip::parse_clip_path(path);
    // The canonical spelling only: no other path of this machine can be named.
    const std::string closed =
        name ? clip::clip_path(name->camera, name->name_time, name->run) : "";
    if (in.ok() && path != closed && path != closed + ".part") {
        in.fail("clip", "must be the path of a clip below the clips folder");
    }
    HD_TRY(in.finish());
    const std::string clips = join(wiring_.data_folder, "clips");
    bool open = false;
    auto file_size = wiring_.fs.size(join(clips, closed));
    std::string file = join(clips, closed);
    if (!file_size && file_size.error().code == ErrorCode::not_found) {
        open = true;
        file = join(clips, closed + ".part");
        file_size = wiring_.fs.size(file);
    }
    if (!file_size) {
        if (file_size.error().code != ErrorCode::not_found) return file_size.error();
        return Error{ErrorCode::not_found, "clip: there is no such clip"};
    }
    std::uint64_t readable = *file_size;
    if (open) {  // As far as it is durable.
        readable = 0;
        for (const store::ClipRow& row : wiring_.store.open_clips()) {
            if (store::clip_name(row).name_time == name->name_time && row.run == name->run &&
                row.camera == name->camera) {
                readable = std::min(*file_size, row.size_bytes);
            }
        }
    }
    const auto from = static_cast<std::uint64_t>(offset);
    Bytes bytes;
    if (from < readable) {
        const std::uint64_t want = std::min(static_cast<std::uint64_t>(size), readable - from);
        HD_ASSIGN(bytes, wiring_.fs.read_range(file, from, want));
    }
    JsonWriter out;
    out.begin_object()
        .field("clip", path)
        .field("offset", offset)
        .field("file_bytes", readable)
        .field("state", open ? "open" : "closed")
        .end_object();
    return VerbReply{std::move(out).take(), {std::move(bytes)}};
}

VerbResult MetaDesk::check(const wire::Request& request) const {
    JsonFields in(request.body);
    const bool only_look = in.boolean_or("wait", false);
    const std::string level = in.text_or("level", "size", 16);
    const bool repair = in.boolean_or("repair", false);
    if (in.ok() && level != "presence" && level != "size" && level != "hash")
        in.fail("level", "must be presence, size or hash");
    HD_TRY(in.finish());
    if (!only_look && wiring_.checks.begin(level, repair)) {
        const auto how = level == "presence" ? store::CheckLevel::presence
                         : level == "hash"   ? store::CheckLevel::hash
                                             : store::CheckLevel::size;
        if (!wiring_.inbox.try_push(CheckWanted{.level = how, .repair = repair})) {
            wiring_.checks.set({});
            return Error{ErrorCode::unavailable, "the index is busy: try again"};
        }
    }
    const CheckState state = wiring_.checks.get();
    JsonWriter out;
    out.begin_object()
        .field("state", state.state)
        .field("level", state.level)
        .field("repair", state.repair)
        .field("checked", state.checked)
        .field("total", state.total)
        .field("problems_total", state.problems_total)
        .key("problems")
        .begin_array();
    for (const CheckProblem& problem : state.problems) {
        out.begin_object()
            .field("kind", problem.kind)
            .field("clip", problem.clip)
            .field("text", problem.text)
            .field("repaired", problem.repaired)
            .end_object();
    }
    out.end_array().end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult MetaDesk::reindex(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    if (!wiring_.inbox.try_push(ReindexWanted{})) {
        return Error{ErrorCode::unavailable, "the index is busy: try again"};
    }
    JsonWriter out;
    out.begin_object().field("state", "rebuilding").end_object();
    return VerbReply{std::move(out).take(), {}};
}

}  // namespace hd::daemon
