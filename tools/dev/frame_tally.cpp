#include "tools/dev/frame_tally.hpp"

namespace hd::dev {

void FrameTally::add(ByteView access_unit, bool key, const std::string& where) {
    ++packets;
    if (key) ++key_frames;
    const auto counter = replay::find_counter(access_unit);
    if (!counter) return;
    ++counted;
    if (!first) {
        first = counter->number;
        first_sent_ns = counter->sent_unix_ns;
    }
    if (last && counter->number <= *last) {
        ++repeated;
        return;
    }
    if (last && counter->number > *last + 1) {
        const std::uint64_t gone = counter->number - *last - 1;
        missing += gone;
        if (gaps.size() < kMaxGaps)
            gaps.push_back({*last, gone, where, last_sent_ns, counter->sent_unix_ns});
    }
    last = counter->number;
    last_sent_ns = counter->sent_unix_ns;
}

}  // namespace hd::dev
