// C2SP signed notes (https://c2sp.org/signed-note v1.0.0): text that one or more keys have signed.
// Requests, policies, cards, grants and answers are all such notes, so foreign tools verify them.
//
// Pure: bytes to values and back. All functions are thread-safe; none blocks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/crypto.hpp"

namespace hd::ledger {

// Readers of the whole house refuse a larger note before they look inside.
constexpr std::size_t kMaxNoteBytes = 512 * 1024;
// The specification asks every reader for at least 16; more are refused.
constexpr std::size_t kMaxSignatures = 16;

// A key that verifies: a name (no Unicode space, no '+') and an Ed25519 public key.
struct NoteKey {
    std::string name;
    VerifyKey key{};
    bool operator==(const NoteKey&) const = default;
};

// First four bytes of SHA-256(name || 0x0A || 0x01 || key), big-endian.
std::uint32_t key_id(const NoteKey& key);
// "<name>+<8 hex digits>+<base64(0x01 || key)>".
std::string to_vkey(const NoteKey& key);
// invalid: names the rule that the text breaks; the key id must fit name and key.
Result<NoteKey> parse_vkey(std::string_view text);
bool is_key_name(std::string_view name);

struct NoteSignature {
    std::string name;
    std::uint32_t key_id = 0;
    Bytes signature;  // what follows the key id: 64 bytes for Ed25519, anything for other kinds
    bool operator==(const NoteSignature&) const = default;
};

struct Note {
    std::string text;  // ends in '\n'; this is what is signed
    std::vector<NoteSignature> signatures;
    bool operator==(const Note&) const = default;
};

// corrupt: names the rule (UTF-8, control characters, no blank line, signature line n ...).
// Nothing is verified yet.
Result<Note> parse_note(std::string_view bytes);
std::string to_string(const Note& note);  // to_string(parse_note(x)) == x

// Holds a secret; moves only.
class NoteSigner {
  public:
    // HD_CHECKs the name.
    NoteSigner(std::string name, SigningKey key);
    const NoteKey& key() const { return public_; }
    NoteSignature sign(std::string_view text) const;

  private:
    SigningKey secret_;
    NoteKey public_;
};

// The finished note with one signature. HD_CHECKs that `text` is a valid note text.
std::string sign_note(std::string_view text, const NoteSigner& signer);
// Whether `text` may stand in a note: UTF-8, no control character but '\n', ends in '\n'.
Result<void> check_note_text(std::string_view text);

// The specification's rule for many signatures: unknown keys are ignored; a known key whose
// signature fails refuses the whole note; no known key at all refuses it too. Gives the indices
// (into `known`) of the keys that signed. refused: says which.
Result<std::vector<std::size_t>> verify_note(const Note& note, std::span<const NoteKey> known);
// Our own notes: exactly one signature, and it is this key's.
Result<void> verify_single(const Note& note, const NoteKey& key);

}  // namespace hd::ledger
