#include "index/base/ids.hpp"

#include <fmt/format.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"

namespace hd {

std::string hex_id(const std::array<std::uint8_t, 16>& bytes) { return to_hex(bytes); }

Result<std::array<std::uint8_t, 16>> parse_hex_id(std::string_view text, std::string_view what) {
    auto bytes = from_hex(text);
    if (!bytes || bytes->size() != 16)
        return Error{ErrorCode::invalid,
                     fmt::format("{}: must be 32 lowercase hex digits, got \"{}\"", what,
                                 text.substr(0, 64))};
    std::array<std::uint8_t, 16> out{};
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return out;
}

std::array<std::uint8_t, 16> random_id_bytes() {
    std::array<std::uint8_t, 16> out{};
    random_bytes(out);
    return out;
}

RunId random_run_id() {
    std::array<std::uint8_t, 4> raw{};
    random_bytes(raw);
    return RunId{ByteReader(raw).u32()};
}

std::string to_string(RunId run) { return fmt::format("{:08x}", run.value); }

Result<RunId> parse_run_id(std::string_view text) {
    auto bytes = from_hex(text);
    if (!bytes || bytes->size() != 4)
        return Error{ErrorCode::invalid, "run: must be 8 lowercase hex digits"};
    std::uint32_t v = 0;
    for (const std::uint8_t b : *bytes) v = v << 8 | b;
    return RunId{v};
}

}  // namespace hd
