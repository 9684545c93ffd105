#include "gateway/daemon/header_desk.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "gateway/daemon/piece_source.hpp"
#include "gateway/wire/fields.hpp"
#include "gateway/wire/header_pack.hpp"

namespace hd::daemon {

using wire::JsonFields;
using wire::JsonWriter;

namespace {

// The pack stops before this, so that the largest piece record (an age header of 16 kB) fits into
// one chunk of 1 MiB.
constexpr std::size_t kPackTarget = wire::kMaxChunkBytes - 64 * 1024;
// A disk that is slow ends a pack early instead of keeping others waiting.
constexpr Micros kTimeBudget = std::chrono::milliseconds(60);
constexpr std::uint32_t kClipsPerLook = 256;

// Sound stands behind the piece of video that it was written with, and may be as much older than
// that as the recorder allows: a number that is missing would end a stretch.
constexpr Micros kSoundSlack = std::chrono::seconds(1);

bool in_window(const clip::PieceIdentity& piece, TimeSpan window) {
    if (piece.kind == clip::PieceKind::audio)
        return TimeSpan{piece.utc_begin - kSoundSlack, piece.utc_end + kSoundSlack}.overlaps(
            window);
    return piece.kind == clip::PieceKind::init ||
           TimeSpan{piece.utc_begin, piece.utc_end}.overlaps(window);
}

}  // namespace

struct HeaderDesk::Question {
    TimeSpan window;
    std::vector<CameraId> cameras;
    std::string cursor;
    std::string mark;  // what the cursor belongs to
};

// Where a pack ended: at which clip of the answer order, and before which piece of it.
struct HeaderDesk::Position {
    store::ClipRow row;
    std::size_t piece = 0;

    std::string text() const {
        return fmt::format("{:x}/{}/{:x}/{}/{}", row.begin.us, to_string(row.camera),
                           row.name_time.us, to_string(row.run), piece);
    }
    static Result<Position> parse(std::string_view text) {
        const Error bad{ErrorCode::invalid, "cursor: is not one that this hub gave"};
        std::vector<std::string_view> parts;
        for (std::size_t at = 0; at <= text.size();) {
            const auto slash = std::min(text.find('/', at), text.size());
            parts.push_back(text.substr(at, slash - at));
            at = slash + 1;
        }
        if (parts.size() != 5) return bad;
        const auto number = [](std::string_view t, int base, auto& out) {
            const auto parsed = std::from_chars(t.data(), t.data() + t.size(), out, base);
            return parsed.ec == std::errc{} && parsed.ptr == t.data() + t.size();
        };
        Position p;
        auto camera = parse_id<CameraId>(parts[1], "cursor");
        auto run = parse_run_id(parts[3]);
        if (!camera || !run || !number(parts[0], 16, p.row.begin.us) ||
            !number(parts[2], 16, p.row.name_time.us) || !number(parts[4], 10, p.piece)) {
            return bad;
        }
        p.row.camera = *camera;
        p.row.run = *run;
        return p;
    }
};

Result<HeaderDesk::Question> HeaderDesk::read_question(const wire::Request& request) const {
    JsonFields in(request.body);
    Question q;
    const bool by_request = in.has("request");
    RequestId id;
    if (by_request) {
        id = in.id<RequestId>("request");
    } else {
        q.window = wire::read_window(in);
    }
    const auto words = in.texts_or_empty("cameras", config::kMaxCameras, 128);
    q.cursor = wire::read_cursor(in);
    HD_TRY(in.finish());
    if (by_request) {
        const auto* entry = wiring_.requests.book().find(id);
        if (entry == nullptr) {
            return Error{ErrorCode::not_found, "request: there is no such request"};
        }
        q.window = entry->taken.window;
    }
    HD_ASSIGN(q.cameras, wiring_.meta.cameras_of(words));
    q.mark = fmt::format("headers {} {}", q.window.begin.us, q.window.end.us);
    for (const CameraId& camera : q.cameras) q.mark += " " + to_string(camera);
    return q;
}

VerbResult HeaderDesk::headers(const wire::Request& request) const {
    HD_ASSIGN(const Question q, read_question(request));
    std::optional<Position> from;
    if (!q.cursor.empty()) {
        HD_ASSIGN(const std::string text, wire::open_cursor(q.cursor, q.mark));
        HD_ASSIGN(from, Position::parse(text));
    }
    // Clips come by begin: those before the cursor's are not looked at again. A clip that begins
    // with or after the position's begin overlaps [that begin, ...) too.
    TimeSpan rest = q.window;
    if (from && from->row.begin > rest.begin) rest.begin = from->row.begin;
    store::WindowQuery query{.window = rest, .cameras = q.cameras, .limit = kClipsPerLook};

    const BootTime deadline = wiring_.clock.boot() + kTimeBudget;
    wire::HeaderPackWriter pack;
    std::uint64_t clips = 0;
    std::uint64_t pieces = 0;
    std::optional<Position> next;
    const std::string folder = join(wiring_.data_folder, "clips");
    while (!next) {
        HD_ASSIGN(const auto page, wiring_.store.window(query));
        for (const store::ClipRow& row : page.clips) {
            if (from && store::answer_order(row, from->row)) continue;
            const bool same = from && !store::answer_order(from->row, row);
            if (wiring_.clock.boot() > deadline && pieces > 0) {
                next = Position{row, same ? from->piece : 0};
                break;
            }
            auto clip = open_clip(wiring_.fs, folder, store::clip_path(row));
            if (!clip) continue;  // Deleted meanwhile, or damaged: `check` says so.
            const auto& table = clip->reader.table();
            bool begun = false;
            for (std::size_t i = same ? from->piece : 0; i < table.size(); ++i) {
                if (!in_window(table[i].identity, q.window)) continue;
                if (pack.size() >= kPackTarget || (wiring_.clock.boot() > deadline && pieces > 0)) {
                    next = Position{row, i};
                    break;
                }
                auto header = read_piece_header(wiring_.fs, *clip, table[i]);
                if (!header) continue;
                if (!begun) pack.clip(clip->relative_path, clip->reader.header_bytes());
                begun = true;
                pack.piece(header->identity_bytes, table[i].age_size, table[i].age_sha256,
                           header->age_header);
                ++pieces;
            }
            clips += begun ? 1 : 0;
            if (next) break;
        }
        if (next || page.next_cursor.empty()) break;
        query.cursor = page.next_cursor;
    }
    JsonWriter out;
    out.begin_object().field("clips", clips).field("pieces", pieces);
    if (next) out.field("cursor", wire::make_cursor(next->text(), q.mark));
    out.end_object();
    return VerbReply{std::move(out).take(), {std::move(pack).take()}};
}

}  // namespace hd::daemon
