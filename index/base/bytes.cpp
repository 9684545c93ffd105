#include "index/base/bytes.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd {

bool equal(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

void ByteWriter::fixed(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
}

void ByteWriter::varint(std::uint64_t v) {
    while (v >= 0x80) {
        out_.push_back(static_cast<std::uint8_t>(v | 0x80));
        v >>= 7;
    }
    out_.push_back(static_cast<std::uint8_t>(v));
}

void ByteWriter::zigzag(std::int64_t v) {
    varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
}

void ByteWriter::short_string(std::string_view text) {
    HD_CHECK(text.size() <= 0xFFFF);
    u16(static_cast<std::uint16_t>(text.size()));
    raw(text);
}

void ByteWriter::long_string(ByteView bytes) {
    HD_CHECK(bytes.size() <= 0xFFFFFFFF);
    u32(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
}

std::uint64_t ByteReader::fixed(int bytes) {
    const ByteView v = raw(static_cast<std::size_t>(bytes));
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < v.size(); ++i) out |= std::uint64_t{v[i]} << (8 * i);
    return out;
}

ByteView ByteReader::raw(std::size_t size) {
    if (!ok_ || in_.size() - at_ < size) {
        ok_ = false;
        return {};
    }
    const ByteView out = in_.subspan(at_, size);
    at_ += size;
    return out;
}

std::uint64_t ByteReader::varint() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const std::uint8_t byte = u8();
        if (!ok_) return 0;
        if (shift == 63 && byte > 1) break;  // would not fit 64 bits
        out |= std::uint64_t{byte & 0x7Fu} << shift;
        if ((byte & 0x80u) == 0) return out;
    }
    ok_ = false;
    return 0;
}

std::int64_t ByteReader::zigzag() {
    const std::uint64_t v = varint();
    return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
}

std::string ByteReader::short_string() { return std::string(as_text(raw(u16()))); }

ByteView ByteReader::long_string(std::size_t limit) {
    const std::size_t size = u32();
    if (size > limit) ok_ = false;
    return raw(size);
}

Result<void> ByteReader::finish(std::string_view what) const {
    if (!ok_)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: ends or breaks off at byte {}", what, at_)};
    if (at_ != in_.size())
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: {} bytes too many at byte {}", what, in_.size() - at_, at_)};
    return {};
}

namespace {
constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t c = i;
        for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
        table[i] = c;
    }
    return table;
}
constexpr auto kCrcTable = make_crc_table();
}  // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t seed) {
    std::uint32_t c = ~seed;
    for (const std::uint8_t b : bytes) c = kCrcTable[(c ^ b) & 0xFF] ^ (c >> 8);
    return ~c;
}

}  // namespace hd
