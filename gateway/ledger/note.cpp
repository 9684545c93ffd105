#include "gateway/ledger/note.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::ledger {
namespace {

// U+2014 EM DASH and a space begin each signature line.
constexpr std::string_view kDash = "\xE2\x80\x94 ";
constexpr std::uint8_t kEd25519 = 0x01;
constexpr std::size_t kMaxKeyNameBytes = 256;

Error corrupt(std::string what) { return {ErrorCode::corrupt, "note: " + std::move(what)}; }

// One code point of UTF-8 at `at`, which moves behind it. Negative if the bytes are not UTF-8
// (overlong forms, surrogates and values above U+10FFFF included).
std::int32_t next_code_point(std::string_view text, std::size_t& at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t first = byte(at);
    if (first < 0x80) {
        ++at;
        return first;
    }
    const std::size_t extra = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || at + extra >= text.size()) return -1;
    std::int32_t out = first & (0x3F >> extra);
    for (std::size_t i = 1; i <= extra; ++i) {
        if ((byte(at + i) & 0xC0) != 0x80) return -1;
        out = out << 6 | (byte(at + i) & 0x3F);
    }
    constexpr std::array<std::int32_t, 4> kSmallest{0, 0x80, 0x800, 0x10000};
    if (out < kSmallest[extra] || out > 0x10FFFF || (out >= 0xD800 && out <= 0xDFFF)) return -1;
    at += extra + 1;
    return out;
}

// Unicode property White_Space.
bool is_space(std::int32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

// UTF-8 without control characters below U+0020 but '\n'.
Result<void> check_characters(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t begin = at;
        const std::int32_t c = next_code_point(text, at);
        if (c < 0) return corrupt(fmt::format("not UTF-8 at byte {}", begin));
        if (c < 0x20 && c != '\n')
            return corrupt(fmt::format("control character at byte {}", begin));
    }
    return {};
}

std::uint32_t big_endian(ByteView bytes) {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) out = out << 8 | bytes[i];
    return out;
}

Result<NoteSignature> parse_signature_line(std::string_view line, std::size_t number) {
    const auto bad = [&](std::string_view rule) {
        return corrupt(fmt::format("signature line {}: {}", number, rule));
    };
    if (!line.starts_with(kDash)) return bad("must begin with an em dash and a space");
    line.remove_prefix(kDash.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return bad("must be a key name, a space and base64");
    const std::string_view name = line.substr(0, space);
    if (!is_key_name(name)) return bad("key name is empty, or has a space or a plus sign");
    const auto raw = from_base64(line.substr(space + 1), Padding::with);
    if (!raw) return bad(raw.error().what);
    if (raw->size() < 5) return bad("must hold a key id of 4 bytes and a signature");
    return NoteSignature{std::string(name), big_endian(*raw), Bytes(raw->begin() + 4, raw->end())};
}

bool signed_by(const Note& note, const NoteSignature& signature, const NoteKey& key) {
    if (signature.signature.size() != std::tuple_size_v<Signature>) return false;
    Signature raw{};
    std::copy(signature.signature.begin(), signature.signature.end(), raw.begin());
    return verify(key.key, as_bytes(note.text), raw);
}

}  // namespace

bool is_key_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxKeyNameBytes) return false;
    for (std::size_t at = 0; at < name.size();) {
        const std::int32_t c = next_code_point(name, at);
        if (c < 0x20 || c == '+' || is_space(c)) return false;
    }
    return true;
}

std::uint32_t key_id(const NoteKey& key) {
    Sha256 hash;
    hash.update(as_bytes(key.name));
    const std::array<std::uint8_t, 2> middle{'\n', kEd25519};
    hash.update(middle);
    hash.update(key.key);
    return big_endian(hash.finish());
}

std::string to_vkey(const NoteKey& key) {
    Bytes raw{kEd25519};
    raw.insert(raw.end(), key.key.begin(), key.key.end());
    return fmt::format("{}+{:08x}+{}", key.name, key_id(key), to_base64(raw, Padding::with));
}

Result<NoteKey> parse_vkey(std::string_view text) {
    const auto bad = [](std::string_view rule) {
        return Error{ErrorCode::invalid, fmt::format("verifier key: {}", rule)};
    };
    const std::size_t one = text.find('+');
    const std::size_t two = one == text.npos ? text.npos : text.find('+', one + 1);
    if (two == text.npos) return bad("must be <name>+<8 hex digits>+<base64>");
    NoteKey key{.name = std::string(text.substr(0, one))};
    if (!is_key_name(key.name)) return bad("the name is empty or holds a space");
    const auto id = from_hex(text.substr(one + 1, two - one - 1));
    if (!id || id->size() != 4) return bad("the key id must be 8 lowercase hex digits");
    const auto raw = from_base64(text.substr(two + 1), Padding::with);
    if (!raw) return bad(raw.error().what);
    if (raw->size() != 33 || raw->front() != kEd25519)
        return bad("the key must be of type 0x01 (Ed25519) and 32 bytes");
    std::copy(raw->begin() + 1, raw->end(), key.key.begin());
    if (big_endian(*id) != key_id(key)) return bad("the key id does not fit name and key");
    return key;
}

Result<void> check_note_text(std::string_view text) {
    if (text.empty() || text.back() != '\n') return corrupt("the text must end in a newline");
    return check_characters(text);
}

Result<Note> parse_note(std::string_view bytes) {
    if (bytes.size() > kMaxNoteBytes)
        return corrupt(fmt::format("larger than {} bytes", kMaxNoteBytes));
    HD_TRY(check_characters(bytes));
    const std::size_t split = bytes.rfind("\n\n");
    if (split == bytes.npos) return corrupt("no empty line before the signatures");
    Note note{.text = std::string(bytes.substr(0, split + 1))};
    std::string_view rest = bytes.substr(split + 2);
    if (rest.empty()) return corrupt("no signature line");
    if (rest.back() != '\n') return corrupt("the last line must end in a newline");
    while (!rest.empty()) {
        if (note.signatures.size() == kMaxSignatures)
            return corrupt(fmt::format("more than {} signatures", kMaxSignatures));
        const std::size_t end = rest.find('\n');
        HD_ASSIGN(auto signature,
                  parse_signature_line(rest.substr(0, end), note.signatures.size() + 1));
        note.signatures.push_back(std::move(signature));
        rest.remove_prefix(end + 1);
    }
    return note;
}

std::string to_string(const Note& note) {
    std::string out = note.text + "\n";
    for (const NoteSignature& s : note.signatures) {
        Bytes raw;
        for (int shift = 24; shift >= 0; shift -= 8)
            raw.push_back(static_cast<std::uint8_t>(s.key_id >> shift));
        raw.insert(raw.end(), s.signature.begin(), s.signature.end());
        out += fmt::format("{}{} {}\n", kDash, s.name, to_base64(raw, Padding::with));
    }
    return out;
}

NoteSigner::NoteSigner(std::string name, SigningKey key)
    : secret_(std::move(key)), public_{std::move(name), secret_.verify_key()} {
    HD_CHECK(is_key_name(public_.name));
}

NoteSignature NoteSigner::sign(std::string_view text) const {
    const Signature raw = secret_.sign(as_bytes(text));
    return {public_.name, key_id(public_), Bytes(raw.begin(), raw.end())};
}

std::string sign_note(std::string_view text, const NoteSigner& signer) {
    HD_CHECK(check_note_text(text).ok());
    return to_string(Note{std::string(text), {signer.sign(text)}});
}

Result<std::vector<std::size_t>> verify_note(const Note& note, std::span<const NoteKey> known) {
    std::vector<std::size_t> out;
    for (const NoteSignature& signature : note.signatures) {
        for (std::size_t i = 0; i < known.size(); ++i) {
            if (known[i].name != signature.name || key_id(known[i]) != signature.key_id) continue;
            if (!signed_by(note, signature, known[i]))
                return Error{ErrorCode::refused,
                             fmt::format("note: the signature of {} is wrong", signature.name)};
            if (std::find(out.begin(), out.end(), i) == out.end()) out.push_back(i);
        }
    }
    if (out.empty()) return Error{ErrorCode::refused, "note: no signature by a known key"};
    return out;
}

Result<void> verify_single(const Note& note, const NoteKey& key) {
    if (note.signatures.size() != 1)
        return Error{
            ErrorCode::refused,
            fmt::format("note: must have exactly one signature, has {}", note.signatures.size())};
    HD_TRY(verify_note(note, std::span(&key, 1)));
    return {};
}

}  // namespace hd::ledger
