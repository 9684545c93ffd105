#include "gateway/consent/selection.hpp"

#include <fmt/format.h>

namespace hd::consent {
namespace {

using clip::PieceIdentity;
using clip::PieceKind;
using clip::PieceStart;

bool is_init(const PieceIdentity& p) { return p.sequence == 0 && p.kind == PieceKind::init; }

bool wholly_inside(const PieceIdentity& p, TimeSpan window) {
    const TimeSpan span{p.utc_begin, p.utc_end};
    return !span.empty() && window.contains(span);
}

bool can_begin(const PieceIdentity& p) {
    return p.start == PieceStart::idr || p.start == PieceStart::cra;
}

}  // namespace

std::optional<PieceRange> select_pieces(std::span<const PieceIdentity> pieces, TimeSpan window) {
    if (pieces.empty() || !is_init(pieces.front())) return {};
    std::optional<PieceRange> out;
    std::uint32_t previous = 0;
    for (const PieceIdentity& p : pieces.subspan(1)) {
        const bool gap = out && p.sequence != previous + 1;
        previous = p.sequence;
        if (gap) break;
        if (p.kind != PieceKind::video) continue;
        const bool inside = wholly_inside(p, window);
        if (out && !inside) break;
        if (!out && inside && can_begin(p))
            out = PieceRange{p.camera, p.clip, p.sequence, p.sequence};
        if (out) out->last = p.sequence;
    }
    return out;
}

Micros length_before_key(std::span<const PieceIdentity> pieces, TimeSpan window) {
    Micros out{0};
    for (const PieceIdentity& p : pieces) {
        if (p.kind != PieceKind::video || !wholly_inside(p, window)) continue;
        if (can_begin(p)) break;
        out += p.utc_end - p.utc_begin;
    }
    return out;
}

Result<std::vector<std::size_t>> pieces_of_range(std::span<const PieceIdentity> pieces,
                                                 const PieceRange& range) {
    const auto bad = [&](std::string_view rule) {
        return Error{ErrorCode::invalid, fmt::format("clip {}: {}", to_string(range.clip), rule)};
    };
    if (range.first < 1 || range.last < range.first) return bad("range: 1 <= first <= last");
    if (pieces.empty() || !is_init(pieces.front())) return bad("the init piece is missing");
    std::vector<std::size_t> out{0};
    std::uint32_t expected = range.first;
    std::uint32_t previous = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const PieceIdentity& p = pieces[i];
        if (p.camera != range.camera || p.clip != range.clip)
            return bad(fmt::format("piece {} is of another camera or clip", p.sequence));
        if (i > 0 && p.sequence <= previous)
            return bad(fmt::format("piece {} is out of order", p.sequence));
        previous = p.sequence;
        if (p.sequence < range.first || p.sequence > range.last) continue;
        if (p.sequence != expected) break;
        ++expected;
        const bool edge = p.sequence == range.first || p.sequence == range.last;
        if (p.kind == PieceKind::video)
            out.push_back(i);
        else if (edge || p.kind == PieceKind::init)
            return bad(fmt::format("piece {} is not video", p.sequence));
    }
    if (expected != range.last + 1) return bad(fmt::format("piece {} is missing", expected));
    return out;
}

Result<void> check_range(std::span<const PieceIdentity> pieces, const PieceRange& range,
                         TimeSpan window) {
    HD_ASSIGN(const auto indices, pieces_of_range(pieces, range));
    const auto refuse = [&](std::uint32_t sequence, std::string_view rule) {
        return Error{ErrorCode::refused,
                     fmt::format("clip {}, piece {}: {}", to_string(range.clip), sequence, rule)};
    };
    for (const std::size_t i : std::span(indices).subspan(1))
        if (!wholly_inside(pieces[i], window))
            return refuse(pieces[i].sequence, "does not lie wholly inside the window");
    if (!can_begin(pieces[indices[1]]))
        return refuse(range.first, "a decoder cannot begin at the first piece");
    return {};
}

}  // namespace hd::consent
