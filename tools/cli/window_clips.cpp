#include "tools/cli/window_clips.hpp"

#include <algorithm>

#include <fmt/format.h>

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
            out.push_back({clip.text_or("clip", ""), begin});
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

Result<SealedPieces> read_pieces(wire::Client& hub, const std::string& clip, clip::PieceKind kind) {
    HD_ASSIGN(ClipBytes begin, read_clip(hub, clip, 0, clip::kMaxHeaderBytes));
    SealedPieces out;
    std::size_t header_size = 0;
    HD_ASSIGN(out.header.header, clip::decode_header(begin.bytes, header_size));
    begin.bytes.resize(header_size);
    out.header.bytes = std::move(begin.bytes);

    const std::uint64_t total = begin.file_bytes;
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
