#include "index/seal/age_header.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::seal {
namespace {

constexpr std::string_view kVersionLine = "age-encryption.org/v1";
constexpr std::size_t kColumns = 64;

Error broken(std::size_t byte, std::string_view rule) {
    return {ErrorCode::corrupt, fmt::format("age header: byte {}: {}", byte, rule)};
}

bool is_visible(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= 33 && c <= 126; });
}

// Line by line over the header. Lines end in LF alone.
class Lines {
  public:
    explicit Lines(std::string_view text) : text_(text) {}
    // False at the end of the text or beyond the limit: then no header ends here.
    bool next(std::string_view& line) {
        const std::string_view rest =
            text_.substr(at_, std::min(text_.size(), kMaxAgeHeaderBytes) - at_);
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) return false;
        line = rest.substr(0, end);
        line_at_ = at_;
        at_ += end + 1;
        return true;
    }
    std::size_t at() const { return at_; }
    std::size_t line_at() const { return line_at_; }

  private:
    std::string_view text_;
    std::size_t at_ = 0, line_at_ = 0;
};

Result<Stanza> parse_stanza_line(std::string_view line, std::size_t at) {
    if (!line.starts_with("-> ")) return broken(at, "a stanza must begin with \"-> \"");
    Stanza stanza;
    std::size_t from = 3;
    while (true) {
        const std::size_t space = line.find(' ', from);
        const std::string_view word = line.substr(from, space - from);
        if (!is_visible(word))
            return broken(at + from, "arguments must be visible ASCII, one space between");
        if (stanza.type.empty())
            stanza.type = word;
        else
            stanza.args.emplace_back(word);
        if (space == std::string_view::npos) return stanza;
        from = space + 1;
    }
}

// Full lines of 64 characters, then one shorter line, which may be empty.
Result<Bytes> parse_body(Lines& lines) {
    std::string text;
    const std::size_t begin = lines.at();
    std::string_view line;
    do {
        if (!lines.next(line)) return broken(lines.at(), "ends in a stanza's body");
        if (line.size() > kColumns) return broken(lines.line_at(), "line over 64 characters");
        text += line;
    } while (line.size() == kColumns);
    auto body = from_base64(text, Padding::without);
    if (!body) return broken(begin, body.error().what);
    return std::move(*body);
}

void write_body(std::string& out, ByteView body) {
    const std::string text = to_base64(body, Padding::without);
    for (std::size_t i = 0; i < text.size(); i += kColumns) {
        out += text.substr(i, kColumns);
        out += '\n';
    }
    if (text.size() % kColumns == 0) out += '\n';
}

Digest compute_mac(ByteView covered, const FileKey& key) {
    Secret<32> mac_key;
    hkdf_sha256(key.view(), {}, as_bytes("header"), mac_key.mut());
    return hmac_sha256(mac_key.view(), covered);
}

}  // namespace

Result<ParsedHeader> parse_header(ByteView in) {
    Lines lines(as_text(in));
    std::string_view line;
    if (!lines.next(line) || line != kVersionLine)
        return broken(0, "must begin with the line age-encryption.org/v1");
    ParsedHeader out;
    while (true) {
        if (!lines.next(line)) return broken(lines.at(), "ends before the --- line");
        if (line.starts_with("---")) break;
        HD_ASSIGN(Stanza stanza, parse_stanza_line(line, lines.line_at()));
        HD_ASSIGN(stanza.body, parse_body(lines));
        out.header.stanzas.push_back(std::move(stanza));
    }
    if (out.header.stanzas.empty()) return broken(lines.line_at(), "has no stanza");
    if (!line.starts_with("--- ")) return broken(lines.line_at(), "must be \"--- \" and the MAC");
    auto mac = from_base64(line.substr(4), Padding::without);
    if (!mac || mac->size() != out.header.mac.size())
        return broken(lines.line_at() + 4, "MAC must be 43 characters of canonical base64");
    std::copy(mac->begin(), mac->end(), out.header.mac.begin());
    out.mac_covers = lines.line_at() + 3;
    out.size = lines.at();
    return out;
}

Bytes serialise_header(const std::vector<Stanza>& stanzas, const FileKey& key) {
    HD_CHECK(!stanzas.empty());
    std::string out{kVersionLine};
    out += '\n';
    for (const Stanza& stanza : stanzas) {
        HD_CHECK(is_visible(stanza.type));
        out += "-> " + stanza.type;
        for (const std::string& arg : stanza.args) {
            HD_CHECK(is_visible(arg));
            out += ' ' + arg;
        }
        out += '\n';
        write_body(out, stanza.body);
    }
    out += "---";
    const Digest mac = compute_mac(as_bytes(out), key);
    out += ' ' + to_base64(mac, Padding::without) + '\n';
    const ByteView bytes = as_bytes(out);
    return {bytes.begin(), bytes.end()};
}

Result<void> verify_header_mac(ByteView header, const ParsedHeader& parsed, const FileKey& key) {
    const Digest mac = compute_mac(header.first(parsed.mac_covers), key);
    if (!equal_constant_time(mac, parsed.header.mac))
        return Error{ErrorCode::corrupt,
                     fmt::format("age header MAC: byte {}: was not made with this file key",
                                 parsed.mac_covers + 1)};
    return {};
}

Result<void> verify_header_mac(ByteView header, const FileKey& key) {
    HD_ASSIGN(const ParsedHeader parsed, parse_header(header));
    return verify_header_mac(header, parsed, key);
}

}  // namespace hd::seal
