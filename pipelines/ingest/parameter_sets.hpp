// The parameter sets of one stream, from its SDP and from the stream itself, and the MP4 codec
// configuration (ISO/IEC 14496-15) made of them. Pure.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "pipelines/ingest/sps.hpp"

namespace hd::ingest {

class ParameterSets {
  public:
    explicit ParameterSets(Codec codec) : codec_(codec) {}

    // Keeps a VPS, SPS or PPS; a set with the same id is replaced. Anything else, and what cannot
    // be read, is left out. `kind` as nal_kind() says.
    void add(NalKind kind, ByteView nal);

    // A set was added or replaced by different bytes since the last clear_changed().
    bool changed() const { return changed_; }
    void clear_changed() { changed_ = false; }

    // avcC or hvcC of all sets kept; nothing as long as an SPS or a PPS (or a VPS) is missing.
    std::optional<Bytes> codec_config() const;
    // Of the SPS with the lowest id; its size and rate.
    std::optional<SpsFacts> facts() const;

  private:
    Bytes avcc() const;
    Bytes hvcc() const;
    const Bytes* first(NalKind kind) const;

    const Codec codec_;
    std::map<std::pair<NalKind, unsigned>, Bytes> sets_;
    bool changed_ = false;
};

}  // namespace hd::ingest
