#include "tools/replay/timeline.hpp"

namespace hd::replay {

void Timeline::advance() {
    ++number_;
    if (++index_ < footage_->video.size()) return;
    index_ = 0;
    loop_begin_ += footage_->length;
}

void Timeline::show(const Footage& footage) {
    loop_begin_ = due();
    footage_ = &footage;
    index_ = 0;
}

void Timeline::skip_until(Tick now) {
    // Whole loops at once: a camera may be left alone for days.
    if (now > due() + footage_->length) {
        const auto loops = (now - due()) / footage_->length;
        loop_begin_ += footage_->length * loops;
        number_ += static_cast<std::uint64_t>(loops) * footage_->video.size();
    }
    while (due() < now) advance();
}

void Timeline::rewind_to_key(Tick now) {
    while (index_ > 0 && !frame().key) --index_;  // The first frame is a key frame.
    loop_begin_ = now - frame().dts;
}

}  // namespace hd::replay
