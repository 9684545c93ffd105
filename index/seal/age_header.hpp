// The text header of an age v1 file: stanzas and a MAC (https://c2sp.org/age). Strict in both
// directions: what parses serialises to the same bytes. Pure, total: any bytes give a value or an
// Error that names the byte and the rule.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "index/base/crypto.hpp"

namespace hd::seal {

// The key of one age file. 16 random bytes, wiped after use.
using FileKey = Secret<16>;

// A header over this size is refused: a piece for 20 recipients takes 2.3 kB.
constexpr std::size_t kMaxAgeHeaderBytes = 64 * 1024;

struct Stanza {
    std::string type;               // visible ASCII, not empty
    std::vector<std::string> args;  // each visible ASCII, not empty
    Bytes body;
    bool operator==(const Stanza&) const = default;
};

struct AgeHeader {
    std::vector<Stanza> stanzas;  // at least one
    Digest mac{};
    bool operator==(const AgeHeader&) const = default;
};

struct ParsedHeader {
    AgeHeader header;
    std::size_t size = 0;        // of the header in bytes; the payload begins here
    std::size_t mac_covers = 0;  // the MAC is over the first so many bytes ("---" included)
};

// `in` may be a header alone or a whole age file. Errors: corrupt.
Result<ParsedHeader> parse_header(ByteView in);

// Computes the MAC and writes the header.
Bytes serialise_header(const std::vector<Stanza>& stanzas, const FileKey& key);

// corrupt if the MAC of this header (or whole age file) was not made with `key`: whoever holds a
// released file key checks with this that the original header was its header.
Result<void> verify_header_mac(ByteView header, const FileKey& key);
Result<void> verify_header_mac(ByteView header, const ParsedHeader& parsed, const FileKey& key);

}  // namespace hd::seal
