#include "index/clip/clip_fields.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip {
namespace {

// On disk: do not renumber. docs/formats/clip.md.
constexpr std::uint16_t kAudio = 1, kKeyFrame = 2;

const Bytes* value_of(const std::vector<Extension>& extensions, std::uint16_t type) {
    for (const Extension& e : extensions)
        if (e.type == type) return &e.value;
    return nullptr;
}

}  // namespace

Extension audio_extension(std::string_view words) {
    const ByteView bytes = as_bytes(fields::cut_text(words));
    return {kAudio, {bytes.begin(), bytes.end()}};
}

std::optional<std::string> audio_words(const std::vector<Extension>& extensions) {
    const Bytes* value = value_of(extensions, kAudio);
    if (!value || value->size() > fields::kMaxTextBytes) return std::nullopt;
    return std::string(as_text(*value));
}

Extension key_extension(const KeyDistance& key) {
    ByteWriter out;
    fields::write_id(out, key.clip.bytes);
    out.i64(key.distance.count());
    return {kKeyFrame, std::move(out).take()};
}

std::optional<KeyDistance> key_distance(const std::vector<Extension>& extensions) {
    const Bytes* value = value_of(extensions, kKeyFrame);
    if (!value) return std::nullopt;
    ByteReader in(*value);
    KeyDistance out;
    out.clip.bytes = in.array<16>();
    out.distance = Micros(in.i64());
    if (!in.finish("key frame")) return std::nullopt;
    return out;
}

}  // namespace hd::clip
