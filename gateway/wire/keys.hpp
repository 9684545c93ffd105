// CURVE keys: in memory, and in files of their own. A secret key is never printed or logged.
//
// A key file is one line: the secret key in Z85 (40 characters, ZeroMQ RFC 32) and a newline; mode
// 0600, and a file that group or others can read is refused. The public half is always computed.
// Thread-safe; reading and writing block on the disk.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "index/base/crypto.hpp"
#include "index/base/result.hpp"

namespace hd::wire {

using CurvePublic = std::array<std::uint8_t, 32>;

struct CurveKey {
    Secret<32> secret;
    CurvePublic public_key{};

    static CurveKey generate();
    static CurveKey from_secret(Secret<32> secret);
    CurveKey clone() const { return {secret.clone(), public_key}; }
};

// Atomic, mode 0600. An existing file is replaced.
Result<void> write_curve_key(const std::string& path, const CurveKey& key);
// not_found: no such file; refused: readable by others; corrupt: not a key.
Result<CurveKey> read_curve_key(const std::string& path);
// Reads the file, or makes it first.
Result<CurveKey> read_or_make_curve_key(const std::string& path);

std::string to_z85_text(const CurvePublic& key);
// `what` names the field in the error.
Result<CurvePublic> parse_curve_public(std::string_view z85, std::string_view what);

}  // namespace hd::wire
