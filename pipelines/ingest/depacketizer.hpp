// RTP packets of H.264 (RFC 6184) or H.265 (RFC 7798) to access units. Pure; every byte comes from
// a camera. Fuzzed (tests/fuzz/fuzz_rtp.cpp).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pipelines/ingest/packet_order.hpp"
#include "pipelines/ingest/parameter_sets.hpp"
#include "pipelines/ingest/rtp_packet.hpp"

namespace hd::ingest {

// A larger one is no picture of a camera: 4K intra frames stay below 4 MiB.
constexpr std::size_t kMaxAccessUnit = 16 << 20;

struct AccessUnit {
    // NAL units with 4-byte length prefixes, as sent, but without parameter sets: those are in the
    // codec configuration, as avc1 and hvc1 want it.
    std::shared_ptr<const Bytes> bytes;
    std::uint32_t timestamp = 0;  // RTP
    BootTime arrival;             // of its first packet
    // The parameter sets changed with this access unit, or are complete for the first time.
    struct Format {
        Bytes codec_config;
        SpsFacts facts;
    };
    std::optional<Format> format;
};

// Loss: an access unit with a hole is left out and counted; what follows is delivered, as
// GStreamer's elements do, although it may refer to the lost one.
class Depacketizer {
  public:
    explicit Depacketizer(Codec codec) : codec_(codec), sets_(codec) {}

    // From the SDP. What the stream itself says later replaces it.
    void add_parameter_set(ByteView nal);

    // `arrival`: when the packet came. Appends the access units that it completes, two at most.
    void push(const RtpPacket& packet, BootTime arrival, std::vector<AccessUnit>& out);

    struct Counts : PacketCounts {
        std::uint64_t damaged_units = 0;     // access units left out
        std::uint64_t unusable_packets = 0;  // of a kind that we do not know, or broken
        std::uint64_t unusable_units = 0;    // before the first parameter sets
    };
    const Counts& counts() const { return counts_; }

  private:
    void h264_payload(const RtpPacket& p, BootTime arrival, std::vector<AccessUnit>& out);
    void h265_payload(const RtpPacket& p, BootTime arrival, std::vector<AccessUnit>& out);
    void fragment(const RtpPacket& p, ByteView header, std::uint8_t fu, std::size_t skip,
                  BootTime arrival, std::vector<AccessUnit>& out);
    void aggregate(const RtpPacket& p, std::size_t skip, BootTime arrival,
                   std::vector<AccessUnit>& out);
    void whole_nal(const RtpPacket& p, ByteView nal, BootTime arrival,
                   std::vector<AccessUnit>& out);
    void begin_nal(const RtpPacket& p, ByteView head, BootTime arrival,
                   std::vector<AccessUnit>& out);
    void append(ByteView bytes);
    void end_nal();
    void keep_nal(ByteView nal);
    void spoil();
    void flush(std::vector<AccessUnit>& out);

    const Codec codec_;
    ParameterSets sets_;
    bool format_due_ = false;
    bool has_config_ = false;
    Counts counts_;

    PacketOrder order_;
    bool suspect_ = false;  // packets were lost since the last picture began

    // The access unit that is being put together.
    struct Open {
        std::shared_ptr<Bytes> bytes;
        std::uint32_t timestamp = 0;
        BootTime arrival;
        bool active = false, has_slice = false, damaged = false;
        bool nal_open = false;      // a fragmented NAL unit without its end
        std::size_t nal_begin = 0;  // of its length prefix
    } au_;

    // Some cameras set the marker bit on every slice: then it says nothing.
    bool marker_lies_ = false;
    std::optional<std::uint32_t> ended_by_marker_;  // the timestamp
};

}  // namespace hd::ingest
