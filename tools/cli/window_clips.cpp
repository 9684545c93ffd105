#include "tools/cli/window_clips.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "tools/cli/clip_joins.hpp"
#include "tools/cli/output.hpp"

namespace hd::cli {

Result<std::string> pick_camera(wire::Client& hub, const std::string& wanted) {
    HD_ASSIGN(const auto names, camera_names(hub));
    std::string known;
    for (const auto& [id, name] : names) {
        if (wanted == id || wanted == name || (wanted.empty() && names.size() == 1)) return id;
        known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
    }
    return with_next(Error{ErrorCode::invalid,
                           wanted.empty() ? "this is about one camera: which?"
                                          : fmt::format("no camera is called \"{}\"", wanted)},
                     "add --camera with one of " + known);
}

Result<std::vector<ListedClip>> list_clips(wire::Client& hub, const std::string& camera,
                                           TimeSpan window, Unfinished unfinished) {
    std::vector<ListedClip> out;
    const auto question = [&](wire::JsonWriter& json) {
        json.field("from", window.begin).field("to", window.end);
        json.field("open", unfinished == Unfinished::take);
        json.key("cameras").begin_array().value(camera).end_array();
    };
    HD_TRY(ask_pages(hub, "clips", question, [&](const wire::Reply& reply) -> Result<void> {
        for (const wire::Json& clip : reply.body.array_or_empty("clips")) {
            HD_ASSIGN(const WallTime begin, parse_rfc3339(clip.text_or("begin", "")));
            HD_ASSIGN(const WallTime end, parse_rfc3339(clip.text_or("end", "")));
            out.push_back({clip.text_or("clip", ""), begin, end});
        }
        return {};
    }));
    return out;
}

Result<ClipBytes> read_clip(wire::Client& hub, const std::string& clip, std::uint64_t offset,
                            std::uint64_t size) {
    ClipBytes out;
    const std::uint64_t end = offset + size;
    while (out.file_bytes == 0 || offset < std::min(end, out.file_bytes)) {
        wire::JsonWriter json;
        json.begin_object().field("clip", clip).field("offset", offset);
        json.field("size", std::min<std::uint64_t>(end - offset, wire::kMaxChunkBytes))
            .end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "clip.read", json.text()));
        if (reply.binary.empty() || reply.binary.front().empty())
            return Error{ErrorCode::corrupt, clip + ": the hub sent no bytes"};
        const ByteView chunk(reply.binary.front());
        out.bytes.insert(out.bytes.end(), chunk.begin(), chunk.end());
        out.file_bytes = static_cast<std::uint64_t>(
            std::max<std::int64_t>(reply.body.int_or("file_bytes", 0), 1));
        offset += chunk.size();
    }
    return out;
}

Result<clip::HeaderBytes> read_header(wire::Client& hub, const std::string& clip,
                                      std::uint64_t& file_bytes) {
    HD_ASSIGN(ClipBytes begin, read_clip(hub, clip, 0, clip::kMaxHeaderBytes));
    clip::HeaderBytes out;
    std::size_t size = 0;
    HD_ASSIGN(out.header, clip::decode_header(begin.bytes, size));
    begin.bytes.resize(size);
    out.bytes = std::move(begin.bytes);
    file_bytes = begin.file_bytes;
    return out;
}

Result<ClipsToDecode> clips_to_decode(wire::Client& hub, const std::string& camera,
                                      const ListedClip& clip, const clip::ClipHeader& header) {
    const auto key = clip::key_distance(header.extensions);
    if (!key) return ClipsToDecode{{}, "it does not say which clip holds the key frame before it"};
    const std::string wanted =
        fmt::format("the clip with the key frame, of {}", short_time(clip.begin - key->distance));
    const TimeSpan span{clip.begin - key->distance - clip::kMaxClipLength, clip.begin};
    HD_ASSIGN(const auto listed, list_clips(hub, camera, span, Unfinished::leave_out));
    ClipsToDecode out;
    for (const ListedClip& before : listed) {
        if (before.path == clip.path) continue;
        std::uint64_t bytes = 0;
        const auto its = read_header(hub, before.path, bytes);
        // Deleted meanwhile: then it is missing.
        if (!its && its.error().code != ErrorCode::not_found) return its.error();
        if (!its || its->header.run != header.run || its->header.boot != header.boot) continue;
        if (!out.clips.empty() || its->header.clip == key->clip) out.clips.push_back(before);
    }
    if (out.clips.empty()) return ClipsToDecode{{}, wanted + ", is not there"};
    for (std::size_t i = 0; i < out.clips.size(); ++i) {
        const ListedClip& next = i + 1 < out.clips.size() ? out.clips[i + 1] : clip;
        if (next.begin - out.clips[i].end > kLongestBreak)
            return ClipsToDecode{{},
                                 fmt::format("{}, is there, but no clip from {} to {}", wanted,
                                             short_time(out.clips[i].end), short_time(next.begin))};
    }
    return out;
}

Result<SealedPieces> read_pieces(wire::Client& hub, const std::string& clip, clip::PieceKind kind) {
    SealedPieces out;
    std::uint64_t total = 0;
    HD_ASSIGN(out.header, read_header(hub, clip, total));

    const std::uint64_t tail_size = std::min(total, clip::kSummaryReadBytes);
    HD_ASSIGN(const ClipBytes tail, read_clip(hub, clip, total - tail_size, tail_size));
    HD_ASSIGN(const std::uint64_t footer_at, clip::footer_offset(tail.bytes, total));
    HD_ASSIGN(const ClipBytes end, read_clip(hub, clip, footer_at, total - footer_at));
    HD_ASSIGN(const clip::Footer footer, clip::decode_footer(end.bytes, footer_at));
    for (const clip::PieceEntry& e : footer.table) {
        if (e.identity.kind != kind) continue;
        HD_ASSIGN(const ClipBytes record,
                  read_clip(hub, clip, e.offset, e.age_offset - e.offset + e.age_size));
        std::size_t head_size = 0;
        HD_ASSIGN(clip::PieceHead head, clip::decode_piece_head(record.bytes, head_size));
        if (head.identity != e.identity || record.bytes.size() != head_size + e.age_size)
            return Error{ErrorCode::corrupt, fmt::format("{}: piece {} is not the one of the table",
                                                         clip, e.identity.sequence)};
        out.pieces.push_back(
            {.identity = std::move(head.identity),
             .identity_bytes = std::move(head.identity_bytes),
             .age_sha256 = head.age_sha256,
             .age_file = Bytes(record.bytes.begin() + static_cast<std::ptrdiff_t>(head_size),
                               record.bytes.end())});
    }
    return out;
}

}  // namespace hd::cli
