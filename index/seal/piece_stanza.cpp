#include "index/seal/piece_stanza.hpp"

#include <algorithm>

namespace hd::seal {

Digest piece_binding(ByteView clip_header, ByteView identity) {
    ByteWriter size;
    size.u32(static_cast<std::uint32_t>(clip_header.size()));
    Sha256 hash;
    hash.update(as_bytes("halfdoor-piece/v1\n"));
    hash.update(size.view());
    hash.update(clip_header);
    hash.update(identity);
    return hash.finish();
}

Stanza make_piece_stanza(ByteView clip_header, ByteView identity) {
    const Digest binding = piece_binding(clip_header, identity);
    return {std::string(kPieceStanza), {}, Bytes(binding.begin(), binding.end())};
}

Result<void> check_piece_stanza(const AgeHeader& header, ByteView clip_header, ByteView identity) {
    const auto is_ours = [](const Stanza& s) { return s.type == kPieceStanza; };
    const auto count = std::count_if(header.stanzas.begin(), header.stanzas.end(), is_ours);
    if (count != 1)
        return Error{ErrorCode::refused,
                     count == 0 ? "piece: its age header has no halfdoor-piece stanza"
                                : "piece: its age header has two halfdoor-piece stanzas"};
    const Stanza& stanza = *std::find_if(header.stanzas.begin(), header.stanzas.end(), is_ours);
    if (!stanza.args.empty())
        return Error{ErrorCode::refused, "piece: its halfdoor-piece stanza has arguments"};
    if (!equal(stanza.body, piece_binding(clip_header, identity)))
        return Error{ErrorCode::refused,
                     "piece: its age header belongs to another clip, camera, time or sequence"};
    return {};
}

}  // namespace hd::seal
