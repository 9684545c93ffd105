#include "pipelines/mux/nal.hpp"

namespace hd::mux {
namespace {

std::uint32_t read_prefix(ByteView in, std::size_t size) {
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < size; ++i) v = v << 8 | in[i];
    return v;
}

void put_prefixed(Bytes& out, ByteView nal) {
    const auto n = static_cast<std::uint32_t>(nal.size());
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(n >> shift));
    out.insert(out.end(), nal.begin(), nal.end());
}

// The offset of the next 00 00 01 at or after `at`; the size of `in` if there is none.
std::size_t find_start_code(ByteView in, std::size_t at) {
    for (; at + 3 <= in.size(); ++at)
        if (in[at] == 0 && in[at + 1] == 0 && in[at + 2] == 1) return at;
    return in.size();
}

// Where avcC and hvcC keep lengthSizeMinusOne, in the two lowest bits.
std::size_t length_byte(Codec codec) { return codec == Codec::h264 ? 4 : 21; }

}  // namespace

void for_each_nal(ByteView sample, const std::function<bool(ByteView nal)>& visit) {
    while (sample.size() >= 4) {
        const std::uint32_t size = read_prefix(sample, 4);
        if (size > sample.size() - 4) return;
        if (!visit(sample.subspan(4, size))) return;
        sample = sample.subspan(4 + std::size_t{size});
    }
}

int nal_type(Codec codec, ByteView nal) {
    if (nal.empty()) return -1;
    return codec == Codec::h264 ? nal[0] & 0x1f : nal[0] >> 1 & 0x3f;
}

bool is_parameter_set(Codec codec, int type) {
    return codec == Codec::h264 ? type == 7 || type == 8 : type >= 32 && type <= 34;
}

std::vector<ByteView> split_annexb(ByteView stream) {
    std::vector<ByteView> out;
    std::size_t at = find_start_code(stream, 0);
    while (at < stream.size()) {
        const std::size_t begin = at + 3;
        at = find_start_code(stream, begin);
        std::size_t end = at;
        while (end > begin && stream[end - 1] == 0) --end;
        if (end > begin) out.push_back(stream.subspan(begin, end - begin));
    }
    return out;
}

bool is_annexb(ByteView b) {
    return b.size() >= 4 && b[0] == 0 && b[1] == 0 && (b[2] == 1 || (b[2] == 0 && b[3] == 1));
}

Bytes to_length_prefixed(const std::vector<ByteView>& nals) {
    Bytes out;
    std::size_t total = 0;
    for (const ByteView nal : nals) total += 4 + nal.size();
    out.reserve(total);
    for (const ByteView nal : nals) put_prefixed(out, nal);
    return out;
}

std::optional<Bytes> widen_prefixes(ByteView sample, std::size_t from_size) {
    Bytes out;
    while (!sample.empty()) {
        if (sample.size() < from_size) return std::nullopt;
        const std::uint32_t size = read_prefix(sample, from_size);
        if (size > sample.size() - from_size) return std::nullopt;
        put_prefixed(out, sample.subspan(from_size, size));
        sample = sample.subspan(from_size + size);
    }
    return out;
}

std::size_t prefix_size(Codec codec, ByteView codec_config) {
    const std::size_t at = length_byte(codec);
    return codec_config.size() > at ? (codec_config[at] & 3u) + 1u : 4;
}

Bytes with_prefix_size_4(Codec codec, ByteView codec_config) {
    Bytes out(codec_config.begin(), codec_config.end());
    if (out.size() > length_byte(codec)) out[length_byte(codec)] |= 3;
    return out;
}

}  // namespace hd::mux
