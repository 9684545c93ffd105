// The binary frame of `headers`: clip headers and, for each piece, identity, size and hash of the
// original age file and its age header. The document is docs/protocol.md section 6. Pure; says
// nothing about whether the content is true.
#pragma once

#include <string>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/crypto.hpp"
#include "index/base/result.hpp"

namespace hd::wire {

constexpr std::size_t kMaxPackAgeHeader = 16 * 1024;

struct PackedPiece {
    Bytes identity;  // encoded (index/clip), not decoded here
    std::uint64_t age_size = 0;
    Digest age_sha256{};
    Bytes age_header;
};
struct PackedClip {
    std::string path;  // relative to <data>/clips
    Bytes header;      // encoded (index/clip)
    std::vector<PackedPiece> pieces;
};

class HeaderPackWriter {
  public:
    void clip(std::string_view path, ByteView header);
    void piece(ByteView identity, std::uint64_t age_size, const Digest& age_sha256,
               ByteView age_header);
    std::size_t size() const { return out_.size(); }
    Bytes take() && { return std::move(out_).take(); }

  private:
    ByteWriter out_;
};

// corrupt: names the byte. Pieces before the first clip record are refused.
Result<std::vector<PackedClip>> decode_header_pack(ByteView pack);

}  // namespace hd::wire
