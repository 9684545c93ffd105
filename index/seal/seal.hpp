// Sealing to age v1 X25519 recipients, opening, and replacing a header without touching the
// payload. Stock `age` opens what this seals and the reverse. Thread-safe; never blocks; secrets
// are wiped on every path.
#pragma once

#include <span>

#include "index/seal/age_header.hpp"
#include "index/seal/key_file.hpp"

namespace hd::seal {

// Plain bytes per STREAM chunk, fixed by age v1.
constexpr std::size_t kChunkBytes = 64 * 1024;

// One age file with a fresh file key that nobody keeps: stanzas for `recipients`, then `extra`
// stanzas, which stock age ignores. invalid: no recipients, or one that is a low-order point.
Result<Bytes> seal(ByteView plain, std::span<const Recipient> recipients,
                   std::span<const Stanza> extra = {});

struct OpenedHeader {
    FileKey key;
    ParsedHeader parsed;
};
// `age_file` may be the header alone. Errors: refused (no stanza is for these identities), corrupt
// (grammar, a broken X25519 stanza, or the MAC: then `what` begins with "age header MAC").
Result<OpenedHeader> open_header(ByteView age_file, std::span<const Identity> identities);

// Appends to `plain` every chunk that verifies. After an error (corrupt) `plain` holds the whole
// chunks before the bad one and must not be taken for the whole. `payload` is what follows the
// header.
Result<void> open_payload(const FileKey& key, ByteView payload, Bytes& plain);

// The whole age file, or nothing.
Result<Bytes> open(ByteView age_file, std::span<const Identity> identities);

// A header for `recipients` in place of the old one's X25519 stanzas, for the same file key; every
// other stanza stays. The payload that followed the old header follows the new one unchanged.
// corrupt if the old header's MAC does not verify under `key`.
Result<Bytes> replace_header(ByteView old_header, const FileKey& key,
                             std::span<const Recipient> recipients);

}  // namespace hd::seal
