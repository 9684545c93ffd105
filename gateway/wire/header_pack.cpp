#include "gateway/wire/header_pack.hpp"

#include <fmt/format.h>

#include "index/clip/clip_format.hpp"

namespace hd::wire {
namespace {

constexpr std::uint8_t kClipRecord = 1;
constexpr std::uint8_t kPieceRecord = 2;

}  // namespace

void HeaderPackWriter::clip(std::string_view path, ByteView header) {
    out_.u8(kClipRecord);
    out_.short_string(path);
    out_.long_string(header);
}

void HeaderPackWriter::piece(ByteView identity, std::uint64_t age_size, const Digest& age_sha256,
                             ByteView age_header) {
    out_.u8(kPieceRecord);
    out_.long_string(identity);
    out_.u64(age_size);
    out_.raw(ByteView(age_sha256));
    out_.long_string(age_header);
}

Result<std::vector<PackedClip>> decode_header_pack(ByteView pack) {
    std::vector<PackedClip> clips;
    ByteReader in(pack);
    const auto copy = [](ByteView v) { return Bytes(v.begin(), v.end()); };
    while (in.ok() && in.left() > 0) {
        const std::size_t at = in.at();
        const std::uint8_t type = in.u8();
        if (type == kClipRecord) {
            PackedClip clip;
            clip.path = in.short_string();
            clip.header = copy(in.long_string(clip::kMaxHeaderBytes));
            clips.push_back(std::move(clip));
        } else if (type == kPieceRecord && !clips.empty()) {
            PackedPiece piece;
            piece.identity = copy(in.long_string(clip::kMaxIdentityBytes));
            piece.age_size = in.u64();
            piece.age_sha256 = in.array<32>();
            piece.age_header = copy(in.long_string(kMaxPackAgeHeader));
            if (clips.back().pieces.size() >= clip::kMaxPieces) in.fail();
            clips.back().pieces.push_back(std::move(piece));
        } else {
            return Error{ErrorCode::corrupt,
                         fmt::format("header pack: byte {} begins no record", at)};
        }
    }
    HD_TRY(in.finish("header pack"));
    return clips;
}

}  // namespace hd::wire
