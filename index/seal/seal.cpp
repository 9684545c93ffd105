#include "index/seal/seal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::seal {
namespace {

constexpr std::string_view kX25519 = "X25519";
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kPayloadNonceBytes = 16;
constexpr std::size_t kSealedChunkBytes = kChunkBytes + kTagBytes;
constexpr std::array<std::uint8_t, 12> kZeroNonce{};

// The key that wraps a file key: HKDF of the shared secret, salted with both public keys.
Secret<32> wrap_key(const Secret<32>& shared, ByteView share, ByteView recipient) {
    std::array<std::uint8_t, 64> salt{};
    std::copy(share.begin(), share.end(), salt.begin());
    std::copy(recipient.begin(), recipient.end(), salt.begin() + 32);
    Secret<32> key;
    hkdf_sha256(shared.view(), salt, as_bytes("age-encryption.org/v1/X25519"), key.mut());
    return key;
}

Result<Stanza> wrap_for(const Recipient& recipient, const FileKey& file_key) {
    Secret<32> ephemeral;
    random_bytes(ephemeral.mut());
    const std::array<std::uint8_t, 32> share = x25519_public(ephemeral);
    HD_ASSIGN(const Secret<32> shared, x25519_shared(ephemeral, recipient));
    const Secret<32> key = wrap_key(shared, share, recipient);
    Stanza stanza{std::string(kX25519), {to_base64(share, Padding::without)}, Bytes(32)};
    chacha_seal(key, kZeroNonce, file_key.view(), stanza.body);
    return stanza;
}

Result<std::vector<Stanza>> wrap_for_all(std::span<const Recipient> recipients,
                                         const FileKey& file_key) {
    if (recipients.empty()) return Error{ErrorCode::invalid, "seal: needs at least one recipient"};
    std::vector<Stanza> out;
    out.reserve(recipients.size());
    for (const Recipient& recipient : recipients) {
        HD_ASSIGN(Stanza stanza, wrap_for(recipient, file_key));
        out.push_back(std::move(stanza));
    }
    return out;
}

Secret<32> payload_key(const FileKey& file_key, ByteView nonce) {
    Secret<32> key;
    hkdf_sha256(file_key.view(), nonce, as_bytes("payload"), key.mut());
    return key;
}

// The STREAM nonce: 11 bytes big-endian counter, then 1 in the last chunk.
std::array<std::uint8_t, 12> chunk_nonce(std::uint64_t counter, bool last) {
    std::array<std::uint8_t, 12> nonce{};
    for (std::size_t i = 0; i < 8; ++i)
        nonce[10 - i] = static_cast<std::uint8_t>(counter >> (8 * i));
    nonce[11] = last ? 1 : 0;
    return nonce;
}

// Appends what the chunk holds, or nothing and false.
bool append_chunk(const Secret<32>& key, const std::array<std::uint8_t, 12>& nonce, ByteView sealed,
                  Bytes& plain) {
    const std::size_t before = plain.size();
    plain.resize(before + sealed.size() - kTagBytes);
    if (chacha_open(key, nonce, sealed, std::span(plain).subspan(before))) return true;
    plain.resize(before);
    return false;
}

Error broken_stanza(std::string_view rule) {
    return {ErrorCode::corrupt, fmt::format("age header: X25519 stanza: {}", rule)};
}

// True and `file_key` if the stanza is for this identity; an error if no reader may accept it.
Result<bool> unwrap(const Stanza& stanza, const Identity& identity, FileKey& file_key) {
    if (stanza.args.size() != 1) return broken_stanza("must have exactly one argument");
    auto share = from_base64(stanza.args[0], Padding::without);
    if (!share) return broken_stanza(share.error().what);
    if (share->size() != 32) return broken_stanza("share must be 32 bytes");
    // Checked before decrypting: a longer body could be made to open under two keys.
    if (stanza.body.size() != FileKey::size() + kTagBytes)
        return broken_stanza("body must be 32 bytes");
    auto shared = x25519_shared(identity.secret, *share);
    if (!shared) return broken_stanza("share is a low-order point");
    const Secret<32> key = wrap_key(*shared, *share, identity.recipient);
    return chacha_open(key, kZeroNonce, stanza.body, file_key.mut());
}

}  // namespace

Result<Bytes> seal(ByteView plain, std::span<const Recipient> recipients,
                   std::span<const Stanza> extra) {
    FileKey file_key;
    random_bytes(file_key.mut());
    HD_ASSIGN(std::vector<Stanza> stanzas, wrap_for_all(recipients, file_key));
    stanzas.insert(stanzas.end(), extra.begin(), extra.end());
    const Bytes header = serialise_header(stanzas, file_key);

    // An empty plain text is one empty chunk; otherwise the last chunk is never empty.
    const std::size_t chunks =
        std::max<std::size_t>(1, (plain.size() + kChunkBytes - 1) / kChunkBytes);
    Bytes out(header.size() + kPayloadNonceBytes + plain.size() + chunks * kTagBytes);
    std::copy(header.begin(), header.end(), out.begin());
    const std::span<std::uint8_t> payload = std::span(out).subspan(header.size());
    const std::span<std::uint8_t> nonce = payload.first(kPayloadNonceBytes);
    random_bytes(nonce);
    const Secret<32> key = payload_key(file_key, nonce);
    std::size_t to = kPayloadNonceBytes;
    for (std::size_t i = 0; i < chunks; ++i) {
        const std::size_t from = i * kChunkBytes;
        const ByteView chunk = plain.subspan(from, std::min(kChunkBytes, plain.size() - from));
        chacha_seal(key, chunk_nonce(i, i + 1 == chunks), chunk,
                    payload.subspan(to, chunk.size() + kTagBytes));
        to += chunk.size() + kTagBytes;
    }
    return out;
}

Result<OpenedHeader> open_header(ByteView age_file, std::span<const Identity> identities) {
    OpenedHeader out;
    HD_ASSIGN(out.parsed, parse_header(age_file));
    bool found = false;
    for (const Stanza& stanza : out.parsed.header.stanzas) {
        // A scrypt stanza promises to be alone: whoever knew the passphrase made the whole file.
        if (stanza.type == "scrypt" && out.parsed.header.stanzas.size() > 1)
            return Error{ErrorCode::corrupt, "age header: a scrypt stanza must be the only one"};
        if (stanza.type != kX25519) continue;
        for (const Identity& identity : identities) {
            FileKey candidate;
            HD_ASSIGN(const bool opened, unwrap(stanza, identity, candidate));
            if (opened && !found) {
                out.key = std::move(candidate);
                found = true;
            }
        }
    }
    if (!found)
        return Error{ErrorCode::refused, "age header: no stanza is for any of the given keys"};
    HD_TRY(verify_header_mac(age_file, out.parsed, out.key));
    return out;
}

Result<void> open_payload(const FileKey& key, ByteView payload, Bytes& plain) {
    if (payload.size() < kPayloadNonceBytes)
        return Error{ErrorCode::corrupt, "age payload nonce: byte 0: is cut short"};
    const Secret<32> stream_key = payload_key(key, payload.first(kPayloadNonceBytes));
    payload = payload.subspan(kPayloadNonceBytes);
    plain.reserve(plain.size() + payload.size());
    std::size_t at = 0;
    for (std::uint64_t counter = 0;; ++counter) {
        const ByteView sealed =
            payload.subspan(at, std::min(kSealedChunkBytes, payload.size() - at));
        const bool at_end = at + sealed.size() == payload.size();
        const auto broken = [&](std::string_view rule) {
            return Error{ErrorCode::corrupt, fmt::format("age payload: byte {}: chunk {}: {}",
                                                         kPayloadNonceBytes + at, counter, rule)};
        };
        if (sealed.size() < kTagBytes) return broken("is cut short");
        if (sealed.size() == kTagBytes && counter > 0) return broken("the last must not be empty");
        if (!append_chunk(stream_key, chunk_nonce(counter, at_end), sealed, plain)) {
            // A chunk of full size may be whole and only in the wrong place: then it is released,
            // as stock age does, and the file is refused all the same.
            if (sealed.size() == kSealedChunkBytes &&
                append_chunk(stream_key, chunk_nonce(counter, !at_end), sealed, plain))
                return broken(at_end ? "is whole, but the last one is missing"
                                     : "is the last one, but bytes follow");
            return broken("does not verify");
        }
        if (at_end) return {};
        at += sealed.size();
    }
}

Result<Bytes> open(ByteView age_file, std::span<const Identity> identities) {
    HD_ASSIGN(const OpenedHeader opened, open_header(age_file, identities));
    Bytes plain;
    if (auto done = open_payload(opened.key, age_file.subspan(opened.parsed.size), plain); !done) {
        wipe(plain);
        return done.error();
    }
    return plain;
}

Result<Bytes> replace_header(ByteView old_header, const FileKey& key,
                             std::span<const Recipient> recipients) {
    HD_ASSIGN(const ParsedHeader old, parse_header(old_header));
    HD_TRY(verify_header_mac(old_header, old, key));
    HD_ASSIGN(std::vector<Stanza> stanzas, wrap_for_all(recipients, key));
    for (const Stanza& stanza : old.header.stanzas)
        if (stanza.type != kX25519) stanzas.push_back(stanza);
    return serialise_header(stanzas, key);
}

}  // namespace hd::seal
