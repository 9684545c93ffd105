#include "pipelines/mux/probe.hpp"

#include <algorithm>

#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/nal.hpp"

namespace hd::mux {
namespace {

constexpr std::string_view kMarkUuid = "HALFDOORFRAMECNT";

std::optional<std::uint64_t> parse_hex16(ByteView in) {
    std::uint64_t v = 0;
    for (const std::uint8_t c : in) {
        int digit = -1;
        if (c >= '0' && c <= '9') digit = c - '0';
        if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        if (digit < 0) return std::nullopt;
        v = v << 4 | static_cast<std::uint64_t>(digit);
    }
    return v;
}

Result<MediaFacts> probe(MediaFile& file) {
    MediaFacts facts;
    facts.track = file.track();
    Micros first = Micros::max(), end = Micros::min();
    for (;;) {
        HD_ASSIGN(const auto sample, file.next());
        if (!sample) break;
        ++facts.frames;
        facts.idr_frames += sample->idr ? 1 : 0;
        facts.cra_frames += sample->cra ? 1 : 0;
        first = std::min(first, sample->pts);
        end = std::max(end, sample->pts + sample->duration);
        if (const auto mark = read_frame_mark(*sample->bytes)) facts.marks.push_back(*mark);
    }
    if (facts.frames > 0) {
        facts.first_pts = first;
        facts.duration = end - first;
    }
    return facts;
}

}  // namespace

std::optional<FrameMark> read_frame_mark(ByteView sample) {
    std::optional<FrameMark> mark;
    for_each_nal(sample, [&mark](ByteView nal) {
        // The SEI comes before the picture; look no further than some hundred bytes of it.
        const std::string_view head = as_text(nal.first(std::min<std::size_t>(nal.size(), 256)));
        const std::size_t at = head.find(kMarkUuid);
        if (at == std::string_view::npos || nal.size() < at + 48) return true;
        const auto number = parse_hex16(nal.subspan(at + 16, 16));
        const auto sent = parse_hex16(nal.subspan(at + 32, 16));
        if (number && sent) mark = FrameMark{*number, *sent};
        return !mark.has_value();
    });
    return mark;
}

KeyKind key_kind(Codec codec, ByteView sample) {
    KeyKind kind;
    for_each_nal(sample, [&](ByteView nal) {
        const int type = nal_type(codec, nal);
        if (codec == Codec::h264) {
            kind.idr = type == 5;
            return type < 1 || type > 5;  // the first slice decides
        }
        kind.idr = type == 19 || type == 20;  // IDR_W_RADL, IDR_N_LP
        // BLA is a CRA whose leading pictures cannot be decoded in any case.
        kind.cra = type == 21 || (type >= 16 && type <= 18);
        return type < 0 || type > 31;
    });
    return kind;
}

Result<MediaFacts> probe_file(const std::string& path) {
    HD_ASSIGN(const auto file, MediaFile::open(path));
    return probe(*file);
}

Result<MediaFacts> probe_bytes(ByteView bytes) {
    HD_ASSIGN(const auto file, MediaFile::open_bytes(bytes));
    return probe(*file);
}

}  // namespace hd::mux
