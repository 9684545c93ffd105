// Fake hardware encoders, registered under the names of real GStreamer elements.
#pragma once

namespace hd::test {

enum class FakeEncoder {
    ok,          // a frame out for each frame in
    open_fails,  // as a device that somebody else uses
    mute,        // takes frames, gives none, ends cleanly
    hangs,       // never returns from set_format, as a wedged driver
    refuses,     // accepts no format
    aborts,      // ends the process
    one_frame,   // stops after the first one without an error
};

// Once per name and process, after gst_init.
void register_fake_encoder(const char* element, FakeEncoder behaviour);

}  // namespace hd::test
