// Bytes as text: hex, base64 (RFC 4648 section 4), Z85 (ZeroMQ RFC 32).
#pragma once

#include <string>
#include <string_view>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd {

std::string to_hex(ByteView bytes);             // lowercase
Result<Bytes> from_hex(std::string_view text);  // lowercase only, even length

enum class Padding { with, without };  // C2SP notes pad, age does not
std::string to_base64(ByteView bytes, Padding padding);
// Canonical only: right alphabet, exact padding, zero trailing bits.
Result<Bytes> from_base64(std::string_view text, Padding padding);

// 40 characters for a 32-byte CURVE key.
std::string to_z85(ByteView bytes);  // size must be a multiple of 4
Result<Bytes> from_z85(std::string_view text);

}  // namespace hd
