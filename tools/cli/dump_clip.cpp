// dump of clip files and of age headers.
#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "index/seal/piece_stanza.hpp"
#include "tools/cli/dump.hpp"

namespace hd::cli {
namespace {

Json extensions_json(const std::vector<clip::Extension>& extensions) {
    Json out = Json::array();
    for (const auto& e : extensions)
        out.push_back(Json{{"type", e.type}, {"value", to_hex(e.value)}});
    return out;
}

Json header_json(const clip::ClipHeader& h) {
    Json out{{"record", "header"},
             {"clip", to_string(h.clip)},
             {"camera", to_string(h.camera)},
             {"hub", to_string(h.hub)},
             {"run", to_string(h.run)},
             {"boot", to_string(h.boot)},
             {"boot_begin_us", h.boot_begin.us},
             {"utc_begin", to_rfc3339(h.utc_begin)},
             {"quality", to_string(h.quality)},
             {"codec", h.codec},
             {"width", h.width},
             {"height", h.height},
             {"encoder", h.encoder},
             {"encoder_why", h.encoder_why},
             {"policy_number", h.policy_number},
             {"policy_sha256", to_hex(h.policy_hash)}};
    if (const auto words = clip::audio_words(h.extensions)) out["audio"] = *words;
    if (const auto key = clip::key_distance(h.extensions))
        out["key_frame"] =
            Json{{"clip", to_string(key->clip)}, {"before_us", key->distance.count()}};
    if (!h.extensions.empty()) out["extensions"] = extensions_json(h.extensions);
    return out;
}

Json piece_json(const clip::PieceEntry& e) {
    const clip::PieceIdentity& i = e.identity;
    Json out{{"record", "piece"},
             {"sequence", i.sequence},
             {"kind", clip::to_string(i.kind)},
             {"start", clip::to_string(i.start)},
             {"frames", i.frames},
             {"boot_begin_us", i.boot_begin.us},
             {"boot_end_us", i.boot_end.us},
             {"utc_begin", to_rfc3339(i.utc_begin)},
             {"utc_end", to_rfc3339(i.utc_end)},
             {"offset", e.offset},
             {"age_offset", e.age_offset},
             {"age_bytes", e.age_size},
             {"age_sha256", to_hex(e.age_sha256)}};
    if (!i.extensions.empty()) out["extensions"] = extensions_json(i.extensions);
    return out;
}

Json summary_json(const clip::ClipSummary& s) {
    return Json{{"record", "footer"},
                {"clip", to_string(s.clip)},
                {"camera", to_string(s.camera)},
                {"run", to_string(s.run)},
                {"boot", to_string(s.boot)},
                {"boot_begin_us", s.boot_begin.us},
                {"boot_end_us", s.boot_end.us},
                {"utc_begin", to_rfc3339(s.utc_begin)},
                {"utc_end", to_rfc3339(s.utc_end)},
                {"name_time", to_rfc3339(s.name_time)},
                {"quality", to_string(s.quality)},
                {"reason", clip::to_string(s.reason)},
                {"reason_detail", s.reason_detail},
                {"pieces", s.pieces},
                {"frames", s.frames},
                {"longest_key_distance_ms", s.longest_key_distance_ms},
                {"bytes", s.size_bytes}};
}

// The age header in front of a piece, and whether its stanza names this clip and this identity.
Json piece_header_json(ByteView age_file, ByteView clip_header, ByteView identity) {
    auto parsed = seal::parse_header(age_file);
    if (!parsed) return Json{{"damaged", parsed.error().what}};
    Json out = age_header_json(*parsed);
    const auto bound = seal::check_piece_stanza(parsed->header, clip_header, identity);
    out["stanza_fits"] = bound.ok();
    if (!bound) out["stanza_problem"] = bound.error().what;
    return out;
}

}  // namespace

Json age_header_json(const seal::ParsedHeader& parsed) {
    Json stanzas = Json::array();
    for (const auto& s : parsed.header.stanzas) {
        Json one{{"type", s.type}};
        one["args"] = s.args;
        one["body"] = to_base64(s.body, Padding::without);
        stanzas.push_back(std::move(one));
    }
    return Json{{"header_bytes", parsed.size},
                {"stanzas", std::move(stanzas)},
                {"mac", to_hex(parsed.header.mac)}};
}

Result<int> dump_clip(Context& ctx, const std::string& path, DumpDepth depth) {
    FileSystem& fs = real_file_system();
    HD_ASSIGN(
        const clip::Walk walk,
        clip::walk(fs, path, depth.hashes ? clip::WalkDepth::hashes : clip::WalkDepth::heads));
    ctx.out.json_line(header_json(walk.header.header));
    bool whole = walk.damaged_bytes == 0;
    for (const auto& entry : walk.table) {
        Json line = piece_json(entry);
        if (depth.headers) {
            HD_ASSIGN(
                const Bytes age,
                fs.read_range(path, entry.age_offset,
                              std::min<std::uint64_t>(entry.age_size, seal::kMaxAgeHeaderBytes)));
            line["age"] =
                piece_header_json(age, walk.header.bytes, clip::encode_identity(entry.identity));
            whole = whole && line["age"].value("stanza_fits", false);
        }
        ctx.out.json_line(line);
    }
    const auto footer = clip::read_footer(fs, path);
    const bool part = path.ends_with(".part");
    if (footer) ctx.out.json_line(summary_json(footer->summary));
    if (!footer && !part) whole = false;
    // A footer of other pieces than those that stand in the file: the file was put together.
    if (footer && (footer->table.size() != walk.table.size() ||
                   footer->summary.clip != walk.header.header.clip))
        whole = false;
    Json end{{"record", "end"},
             {"pieces", walk.table.size()},
             {"finished", footer.ok()},
             {"damaged_bytes", walk.damaged_bytes},
             {"whole_until", walk.whole_until},
             {"bytes_after_last_piece", walk.left_bytes}};
    if (!footer && !part) end["footer_problem"] = footer.error().what;
    end["whole"] = whole;
    ctx.out.json_line(end);
    return whole ? kOk : kDamaged;
}

Result<int> dump_age(Context& ctx, const std::string& path) {
    FileSystem& fs = real_file_system();
    HD_ASSIGN(const Bytes bytes, fs.read_range(path, 0, seal::kMaxAgeHeaderBytes));
    HD_ASSIGN(const std::uint64_t size, fs.size(path));
    auto parsed = seal::parse_header(bytes);
    if (!parsed) return parsed.error().in(path);
    Json line = age_header_json(*parsed);
    line["payload_bytes"] = size - parsed->size;
    ctx.out.json_line(line);
    return kOk;
}

}  // namespace hd::cli
