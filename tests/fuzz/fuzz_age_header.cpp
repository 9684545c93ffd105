// Invariants checked, on any bytes:
//  - a header that parses serialises to the same bytes up to its MAC;
//  - opening with a key, whole or in parts, gives a value or an error, and never more plain bytes
//    than the file has;
//  - key files and recipients parse or are refused, and an error never repeats a secret line.
#include <cstdint>

#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"

using namespace hd;

namespace {

// A fixed key: the corpus holds a file that is sealed to it.
const std::vector<seal::Identity>& identities() {
    static const std::vector<seal::Identity> all = [] {
        Secret<32> secret;
        for (std::size_t i = 0; i < 32; ++i) secret.mut()[i] = static_cast<std::uint8_t>(i + 1);
        std::vector<seal::Identity> out;
        out.push_back(seal::identity_from_secret(std::move(secret)));
        return out;
    }();
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in(data, size);
    const auto parsed = seal::parse_header(in);
    if (parsed) {
        HD_CHECK(parsed->size <= size && parsed->mac_covers < parsed->size);
        const seal::FileKey key;
        const Bytes again = seal::serialise_header(parsed->header.stanzas, key);
        HD_CHECK(again.size() == parsed->size);
        HD_CHECK(equal(ByteView(again).first(parsed->mac_covers), in.first(parsed->mac_covers)));
        (void)seal::check_piece_stanza(parsed->header, in, in).ok();
    }
    if (const auto plain = seal::open(in, identities()); plain) HD_CHECK(plain->size() < size);
    Bytes partial;
    (void)seal::open_payload(seal::FileKey(), in, partial).ok();
    HD_CHECK(partial.size() <= size);
    (void)seal::parse_recipient(as_text(in)).ok();
    const auto keys = seal::parse_key_file(as_text(in));
    if (!keys) HD_CHECK(keys.error().what.find("AGE-SECRET-KEY-1Q") == std::string::npos);
    return 0;
}
