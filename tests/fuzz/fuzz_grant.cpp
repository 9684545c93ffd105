// Grants as a hub receives them, and release files as a requester receives them.
//
// Invariants checked:
// - parsing never crashes; a grant that parses is canonical, its ranges well formed
// - no new headers file passes without the hash that the grant signs
// - a release reader that trusts nobody accepts nothing, in whatever portions the bytes come
#include <algorithm>
#include <cstdlib>

#include "gateway/consent/release.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hd;
    using namespace hd::consent;
    const ByteView bytes{data, size};
    if (const auto grant = parse_grant(as_text(bytes))) {
        if (to_text(grant->grant) != grant->note.text) std::abort();
        for (const PieceRange& r : grant->grant.ranges)
            if (r.first < 1 || r.last < r.first) std::abort();
        if (split_headers(bytes, grant->grant)) std::abort();
    }
    ReleaseReader reader({}, {}, {});
    for (std::size_t at = 0; at < size; at += 61)
        if (!reader.feed(bytes.subspan(at, std::min<std::size_t>(61, size - at)))) break;
    if (reader.finish()) std::abort();
    return 0;
}
