#include "pipelines/ingest/depacketizer.hpp"

#include <algorithm>
#include <string_view>

namespace hd::ingest {
namespace {

using namespace std::literals;

constexpr unsigned kStapA = 24, kFuA = 28;  // RFC 6184 table 1
constexpr unsigned kAp = 48, kFu = 49;      // RFC 7798 section 4.4
constexpr std::size_t kFirstCapacity = 16 << 10;

std::size_t be16(ByteView in, std::size_t at) {
    return static_cast<std::size_t>(in[at] << 8 | in[at + 1]);
}

bool is_parameter_set(NalKind kind) {
    return kind == NalKind::vps || kind == NalKind::sps || kind == NalKind::pps;
}

// H.264 7.4.1.2.3, H.265 7.4.2.4.4: after the last slice, these begin the next access unit.
bool begins_access_unit(NalKind kind) {
    return is_parameter_set(kind) || kind == NalKind::delimiter || kind == NalKind::prefix_sei;
}

}  // namespace

void Depacketizer::add_parameter_set(ByteView nal) {
    if (!nal.empty()) sets_.add(nal_kind(codec_, nal), nal);
    format_due_ = format_due_ || sets_.changed();
    sets_.clear_changed();
}

// Packets are missing here.
void Depacketizer::spoil() {
    suspect_ = true;
    ended_by_marker_.reset();
    if (au_.has_slice || au_.nal_open) au_.damaged = true;
}

void Depacketizer::push(const RtpPacket& p, BootTime arrival, std::vector<AccessUnit>& out) {
    const PacketOrder::Step step = order_.take(p, counts_);
    if (step == PacketOrder::Step::late) return;
    if (step == PacketOrder::Step::after_a_hole) spoil();
    if (p.payload.empty()) return;
    if (au_.active && p.timestamp != au_.timestamp) {
        if (au_.has_slice || au_.nal_open) {
            flush(out);
        } else {
            // Parameter sets and SEI came with the time of the picture before.
            au_.timestamp = p.timestamp;
            au_.arrival = arrival;
        }
    }
    if (codec_ == Codec::h264)
        h264_payload(p, arrival, out);
    else
        h265_payload(p, arrival, out);
    // Without a slice it is no picture yet: some cameras set the marker on parameter sets too.
    if (p.marker && !marker_lies_ && au_.active && (au_.has_slice || au_.damaged)) {
        flush(out);
        ended_by_marker_ = p.timestamp;
    }
}

void Depacketizer::h264_payload(const RtpPacket& p, BootTime arrival,
                                std::vector<AccessUnit>& out) {
    const ByteView in = p.payload;
    const unsigned type = in[0] & 31u;
    if (type >= 1 && type <= 23) return whole_nal(p, in, arrival, out);
    if (type == kStapA) return aggregate(p, 1, arrival, out);
    if (type == kFuA && in.size() >= 2) {
        const auto header = static_cast<std::uint8_t>((in[0] & 0xe0u) | (in[1] & 31u));
        return fragment(p, {&header, 1}, in[1], 2, arrival, out);
    }
    ++counts_.unusable_packets;
    spoil();
}

void Depacketizer::h265_payload(const RtpPacket& p, BootTime arrival,
                                std::vector<AccessUnit>& out) {
    const ByteView in = p.payload;
    const unsigned type = (in[0] >> 1) & 63u;
    if (in.size() >= 2 && type < kAp) return whole_nal(p, in, arrival, out);
    if (in.size() >= 2 && type == kAp) return aggregate(p, 2, arrival, out);
    if (in.size() >= 3 && type == kFu) {
        const std::array header{static_cast<std::uint8_t>((in[0] & 0x81u) | (in[2] & 63u) << 1),
                                in[1]};
        return fragment(p, header, in[2], 3, arrival, out);
    }
    ++counts_.unusable_packets;
    spoil();
}

void Depacketizer::fragment(const RtpPacket& p, ByteView header, std::uint8_t fu, std::size_t skip,
                            BootTime arrival, std::vector<AccessUnit>& out) {
    const ByteView bytes = p.payload.subspan(skip);
    if (fu & 0x80u) {
        if (au_.nal_open) au_.damaged = true;
        std::array<std::uint8_t, 3> head{};
        std::copy(header.begin(), header.end(), head.begin());
        if (!bytes.empty()) head[header.size()] = bytes[0];
        begin_nal(p, ByteView(head).first(header.size() + (bytes.empty() ? 0 : 1)), arrival, out);
        append(header);
        au_.nal_open = true;
    } else if (!au_.nal_open) {
        // The middle of something whose beginning is lost.
        if (!au_.active) au_.timestamp = p.timestamp, au_.arrival = arrival;
        au_.active = au_.damaged = true;
        return;
    }
    append(bytes);
    if (fu & 0x40u) end_nal();
}

void Depacketizer::aggregate(const RtpPacket& p, std::size_t skip, BootTime arrival,
                             std::vector<AccessUnit>& out) {
    ByteView in = p.payload.subspan(skip);
    while (in.size() >= 2) {
        const std::size_t size = be16(in, 0);
        if (size == 0 || size > in.size() - 2) break;
        whole_nal(p, in.subspan(2, size), arrival, out);
        in = in.subspan(2 + size);
    }
    if (!in.empty()) ++counts_.unusable_packets;
}

void Depacketizer::whole_nal(const RtpPacket& p, ByteView nal, BootTime arrival,
                             std::vector<AccessUnit>& out) {
    if (au_.nal_open) au_.damaged = true, au_.nal_open = false;
    begin_nal(p, nal, arrival, out);
    append(nal);
    end_nal();
}

// `head`: the NAL unit's header and, if there is one, the byte after it.
void Depacketizer::begin_nal(const RtpPacket& p, ByteView head, BootTime arrival,
                             std::vector<AccessUnit>& out) {
    const NalKind kind = nal_kind(codec_, head);
    const bool slice = kind == NalKind::slice;
    const bool first_slice = slice && begins_picture(codec_, head);
    if (au_.has_slice && (begins_access_unit(kind) || (marker_lies_ && first_slice))) flush(out);
    if (!au_.active) {
        au_.timestamp = p.timestamp;
        au_.arrival = arrival;
        au_.active = true;
    }
    if (slice && !au_.has_slice) {
        if (!first_slice && ended_by_marker_ == p.timestamp) {
            marker_lies_ = true;
            au_.damaged = true;
        }
        if (!first_slice && suspect_) au_.damaged = true;
        suspect_ = false;
        au_.has_slice = true;
    }
    if (!au_.bytes) {
        au_.bytes = std::make_shared<Bytes>();
        au_.bytes->reserve(kFirstCapacity);
    }
    au_.nal_begin = au_.bytes->size();
    au_.bytes->resize(au_.nal_begin + 4);
}

void Depacketizer::append(ByteView bytes) {
    if (!au_.bytes || au_.damaged) return;
    if (au_.bytes->size() + bytes.size() > kMaxAccessUnit) {
        au_.damaged = true;
        au_.bytes = std::make_shared<Bytes>();
        return;
    }
    au_.bytes->insert(au_.bytes->end(), bytes.begin(), bytes.end());
}

void Depacketizer::end_nal() {
    au_.nal_open = false;
    if (!au_.bytes || au_.damaged) return;
    Bytes& all = *au_.bytes;
    const std::size_t size = all.size() - au_.nal_begin - 4;
    const ByteView nal(all.data() + au_.nal_begin + 4, size);
    if (size == 0) {
        all.resize(au_.nal_begin);
        return;
    }
    if (nal_kind(codec_, nal) != NalKind::slice) {
        // Some cameras send several NAL units with start codes between them as one. No NAL unit
        // holds three bytes like these itself.
        const auto code = "\0\0\1"sv;
        if (is_parameter_set(nal_kind(codec_, nal)) ||
            as_text(nal).find(code) != std::string_view::npos) {
            const Bytes copy(nal.begin(), nal.end());
            all.resize(au_.nal_begin);
            std::string_view rest = as_text(copy);
            while (!rest.empty()) {
                const std::size_t end = std::min(rest.find(code), rest.size());
                ByteView one = as_bytes(rest.substr(0, end));
                rest.remove_prefix(std::min(end + code.size(), rest.size()));
                // A start code of four bytes leaves a zero behind.
                if (!rest.empty() && !one.empty() && one.back() == 0)
                    one = one.first(one.size() - 1);
                keep_nal(one);
            }
            return;
        }
    }
    for (int i = 0; i < 4; ++i)
        all[au_.nal_begin + static_cast<std::size_t>(i)] =
            static_cast<std::uint8_t>(size >> (24 - 8 * i));
}

void Depacketizer::keep_nal(ByteView nal) {
    if (nal.empty()) return;
    const NalKind kind = nal_kind(codec_, nal);
    if (is_parameter_set(kind)) {
        add_parameter_set(nal);
        return;
    }
    if (kind == NalKind::slice) au_.has_slice = true;
    for (int shift = 24; shift >= 0; shift -= 8)
        au_.bytes->push_back(static_cast<std::uint8_t>(nal.size() >> shift));
    au_.bytes->insert(au_.bytes->end(), nal.begin(), nal.end());
}

void Depacketizer::flush(std::vector<AccessUnit>& out) {
    Open done = std::exchange(au_, Open{});
    if (done.damaged || done.nal_open) {
        ++counts_.damaged_units;
        return;
    }
    if (!done.has_slice || !done.bytes || done.bytes->empty()) return;
    AccessUnit unit{std::move(done.bytes), done.timestamp, done.arrival, std::nullopt};
    if (format_due_) {
        auto config = sets_.codec_config();
        const auto facts = sets_.facts();
        if (config && facts) {
            unit.format = AccessUnit::Format{*std::move(config), *facts};
            has_config_ = true;
            format_due_ = false;
        }
    }
    if (!has_config_) {
        ++counts_.unusable_units;
        return;
    }
    out.push_back(std::move(unit));
}

}  // namespace hd::ingest
