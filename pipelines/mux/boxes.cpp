#include "pipelines/mux/boxes.hpp"

#include <algorithm>

namespace hd::mux {
namespace {

std::uint32_t read_u32(ByteView in, std::size_t at) {
    return std::uint32_t{in[at]} << 24 | std::uint32_t{in[at + 1]} << 16 |
           std::uint32_t{in[at + 2]} << 8 | std::uint32_t{in[at + 3]};
}

void put_u32(Bytes& out, std::uint32_t v) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(v >> shift));
}

void put_text(Bytes& out, std::string_view text) {
    out.insert(out.end(), text.begin(), text.end());
}

void grow(Bytes& in, const Box& box, std::size_t by) {
    const auto size = static_cast<std::uint32_t>(box.size + by);
    for (std::size_t i = 0; i < 4; ++i)
        in[box.offset + i] = static_cast<std::uint8_t>(size >> (24 - 8 * i));
}

Bytes edit_list(std::int64_t start) {
    const auto time = static_cast<std::uint64_t>(start);
    Bytes out;
    put_u32(out, 44);
    put_text(out, "edts");
    put_u32(out, 36);
    put_text(out, "elst");
    put_u32(out, 0x01000000);  // version 1: 64-bit times
    put_u32(out, 1);
    put_u32(out, 0);  // segment duration 0: to the end, whatever is appended
    put_u32(out, 0);
    put_u32(out, static_cast<std::uint32_t>(time >> 32));
    put_u32(out, static_cast<std::uint32_t>(time));
    put_u32(out, 0x00010000);  // rate 1.0
    return out;
}

}  // namespace

std::optional<Box> find_box(ByteView in, std::size_t begin, std::size_t end,
                            std::string_view type) {
    end = std::min(end, in.size());
    while (begin + 8 <= end) {
        const std::size_t size = read_u32(in, begin);
        if (size < 8 || size > end - begin) return std::nullopt;
        if (as_text(in.subspan(begin + 4, 4)) == type) return Box{begin, size, begin + 8};
        begin += size;
    }
    return std::nullopt;
}

Result<void> insert_edit_list(Bytes& init, unsigned track, std::int64_t start) {
    if (start <= 0) return {};
    const auto moov = find_box(init, 0, init.size(), "moov");
    auto trak = moov ? find_box(init, moov->body, moov->end(), "trak") : std::nullopt;
    for (; trak && track > 0; --track) trak = find_box(init, trak->end(), moov->end(), "trak");
    const auto tkhd = trak ? find_box(init, trak->body, trak->end(), "tkhd") : std::nullopt;
    if (!tkhd) return Error{ErrorCode::corrupt, "init piece without moov/trak/tkhd"};
    const Bytes edts = edit_list(start);
    grow(init, *moov, edts.size());
    grow(init, *trak, edts.size());
    init.insert(init.begin() + static_cast<std::ptrdiff_t>(tkhd->end()), edts.begin(), edts.end());
    return {};
}

std::optional<ByteView> find_codec_config(ByteView init) {
    std::size_t begin = 0, end = init.size();
    for (const std::string_view type : {"moov", "trak", "mdia", "minf", "stbl", "stsd"}) {
        const auto box = find_box(init, begin, end, type);
        if (!box) return std::nullopt;
        begin = box->body;
        end = box->end();
    }
    begin += 8;  // version, flags and count of stsd
    for (const std::string_view entry : {"avc1", "hvc1"}) {
        const auto sample_entry = find_box(init, begin, end, entry);
        if (!sample_entry) continue;
        // The fixed fields of a VisualSampleEntry take 78 bytes.
        for (const std::string_view config : {"avcC", "hvcC"})
            if (const auto box =
                    find_box(init, sample_entry->body + 78, sample_entry->end(), config))
                return init.subspan(box->body, box->size - 8);
    }
    return std::nullopt;
}

}  // namespace hd::mux
