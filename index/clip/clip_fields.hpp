// Inside index/clip only: the fields that header, identity and footer share, as bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/time.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip::fields {

constexpr std::uint16_t kVersion = 1;  // of header, identity, piece head and footer together

// Free texts are cut to this: they are phrases, and the summary has to fit its one read.
constexpr std::size_t kMaxTextBytes = 255;

Error corrupt_at(std::string_view block, std::uint64_t byte, std::string_view rule);

// The longest prefix of at most kMaxTextBytes that does not split a UTF-8 character.
std::string_view cut_text(std::string_view text);

void write_id(ByteWriter& out, const std::array<std::uint8_t, 16>& id);

// Reads one block field by field; the first rule that breaks is kept with its byte.
class Reader {
  public:
    // `base` is added to byte numbers in errors. `in` must outlive the reader.
    Reader(std::string_view block, ByteView in, std::uint64_t base = 0)
        : block_(block), base_(base), in_(in) {}

    ByteReader& bytes() { return in_; }
    void check(bool rule_holds, std::string_view rule, std::size_t at);

    template <typename IdType>
    IdType id() {
        return IdType{in_.array<16>()};
    }
    // Times out of these ranges could overflow a subtraction; no clock gives them.
    BootTime boot_time();
    WallTime wall_time();
    // A one-byte enum whose last value is `last`.
    template <typename Enum>
    Enum enumeration(Enum first, Enum last, std::string_view rule) {
        const std::size_t at = in_.at();
        const std::uint8_t v = in_.u8();
        const bool known =
            v >= static_cast<std::uint8_t>(first) && v <= static_cast<std::uint8_t>(last);
        check(known, rule, at);
        return known ? static_cast<Enum>(v) : first;
    }
    std::string text();
    void version();
    // To the end of the block.
    std::vector<Extension> extensions();

    // The first broken rule, or "ends too early", or "bytes too many".
    Result<void> finish();

  private:
    std::string block_;
    std::uint64_t base_;
    ByteReader in_;
    std::string broken_rule_;
    std::size_t broken_at_ = 0;
};

void write_extensions(ByteWriter& out, const std::vector<Extension>& extensions);

}  // namespace hd::clip::fields
