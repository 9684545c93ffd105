// Keys of the store: a tag, then big-endian fields, so that RocksDB's byte order is ours. The
// document is docs/formats/index.md. On disk: a change needs another schema version. Pure.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "index/store/row_codec.hpp"

namespace hd::store {

enum class Tag : char {
    hour = 'c',         // camera, hour -> rows
    elsewhere = 'n',    // name -> begin, if a clip is not in the hour that its name says
    garbage = 'g',      // name -> size
    pending = 'w',      // name -> pending clip
    gap = 'p',          // camera, begin -> gap
    pending_gap = 'q',  // camera, boot, BOOTTIME of its begin -> gap record
    boot = 'b',         // boot -> UTC minus BOOTTIME
    camera = 't',       // camera -> totals
    day = 'v',          // camera, day -> coverage
    note = 'm',         // name -> small value
};

// Every key is short: built without the heap.
class Key {
  public:
    explicit Key(Tag tag) { push(static_cast<std::uint8_t>(tag)); }
    Key& id(const std::array<std::uint8_t, 16>& bytes) {
        std::memcpy(buf_ + size_, bytes.data(), 16);
        size_ += 16;
        return *this;
    }
    Key& u32(std::uint32_t v) {
        for (int shift = 24; shift >= 0; shift -= 8) push(static_cast<std::uint8_t>(v >> shift));
        return *this;
    }
    Key& u64(std::uint64_t v) {
        return u32(static_cast<std::uint32_t>(v >> 32)).u32(static_cast<std::uint32_t>(v));
    }
    Key& time(WallTime t) { return u64(static_cast<std::uint64_t>(t.us)); }
    std::string_view view() const { return {buf_, size_}; }

  private:
    void push(std::uint8_t b) { buf_[size_++] = static_cast<char>(b); }
    char buf_[56];
    std::size_t size_ = 0;
};

inline Key hour_key(const CameraId& c, Hour h) { return Key(Tag::hour).id(c.bytes).u32(h); }
inline Key day_key(const CameraId& c, std::uint32_t d) { return Key(Tag::day).id(c.bytes).u32(d); }
inline Key gap_key(const CameraId& c, WallTime t) { return Key(Tag::gap).id(c.bytes).time(t); }
inline Key camera_key(const CameraId& c) { return Key(Tag::camera).id(c.bytes); }
inline Key boot_key(const BootId& b) { return Key(Tag::boot).id(b.bytes); }
inline Key name_key(Tag tag, const clip::ClipName& n) {
    return Key(tag).id(n.camera.bytes).time(n.name_time).u32(n.run.value);
}
inline Key pending_gap_key(const GapRecord& g) {
    return Key(Tag::pending_gap)
        .id(g.camera.bytes)
        .id(g.begin.boot.bytes)
        .u64(static_cast<std::uint64_t>(g.begin.at.us));
}

// Reading them back; nothing if the key is not of this shape.
inline std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t v = 0;
    for (const char b : bytes) v = v << 8 | static_cast<std::uint8_t>(b);
    return v;
}
struct CameraAndNumber {  // hour, day (u32) and gap (u64) keys
    CameraId camera;
    std::uint64_t number = 0;
};
inline std::optional<CameraAndNumber> parse_camera_key(std::string_view key, std::size_t width) {
    if (key.size() != 17 + width) return std::nullopt;
    CameraAndNumber out;
    std::memcpy(out.camera.bytes.data(), key.data() + 1, 16);
    out.number = big_endian(key.substr(17));
    return out;
}
inline std::optional<clip::ClipName> parse_name_key(std::string_view key) {
    if (key.size() != 29) return std::nullopt;
    clip::ClipName n;
    std::memcpy(n.camera.bytes.data(), key.data() + 1, 16);
    n.name_time.us = static_cast<std::int64_t>(big_endian(key.substr(17, 8)));
    n.run.value = static_cast<std::uint32_t>(big_endian(key.substr(25)));
    return n;
}

}  // namespace hd::store
