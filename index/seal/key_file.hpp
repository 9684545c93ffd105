// age X25519 identities and recipients as text and as key files, exactly as stock `age-keygen`
// writes them (https://c2sp.org/age). The document is docs/formats/age.md.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/crypto.hpp"
#include "index/base/files.hpp"
#include "index/base/time.hpp"

namespace hd::seal {

// An X25519 public key. Its text is "age1...", 62 characters.
using Recipient = std::array<std::uint8_t, 32>;

// An X25519 secret key and its recipient. The secret is wiped with the object.
struct Identity {
    Secret<32> secret;
    Recipient recipient{};
};
Identity generate_identity();
Identity identity_from_secret(Secret<32> secret);

std::string to_string(const Recipient& recipient);
Result<Recipient> parse_recipient(std::string_view text);  // invalid: names the rule

// "AGE-SECRET-KEY-1...", 74 characters, without an end of line. as_text(x.view()) reads it.
Secret<74> identity_text(const Identity& identity);
// The error never repeats the text.
Result<Identity> parse_identity(std::string_view text);

// A key file: `#` comments, empty lines, and one or more identities. A file that is itself
// encrypted (`age -p`) is refused with the command that opens it. At least one identity or an
// error.
Result<std::vector<Identity>> parse_key_file(std::string_view text);
Result<std::vector<Identity>> read_key_file(FileSystem& fs, const std::string& path);
// Creates the file, mode 0600, in the words of age-keygen. `invalid` if it exists: a key is never
// overwritten.
Result<void> write_key_file(const std::string& path, const Identity& identity, WallTime created);

}  // namespace hd::seal
