// Fake hardware encoders, registered under the names of real GStreamer elements. Each has the
// properties of the real one and no other, so that the lines that set them are tested too.
#pragma once

namespace hd::test {

enum class FakeEncoder {
    ok,           // a frame out for each frame in
    open_fails,   // as a device that somebody else uses
    never_opens,  // never returns from opening, as a device that waits for another
    mute,         // takes frames, gives none, ends cleanly
    hangs,        // never returns from set_format, as a wedged driver
    refuses,      // accepts no format
    wrong_caps,   // says that it makes something else than H.264
    aborts,       // ends the process
    one_frame,    // stops after the first one without an error
    dies,         // 25 frames, then an error
    falls_mute,   // 25 frames, then nothing any more
    freezes,      // 25 frames, then never returns
    slow,         // five frames a second
};

// After gst_init; the latest call for a name holds for elements that are made after it.
void register_fake_encoder(const char* element, FakeEncoder behaviour);

// nvvidconv: takes any raw video, and says that it is in NVMM memory now.
void register_fake_nvvidconv();

}  // namespace hd::test
