// halfdoor-recorder on a machine whose GPU driver gives up after 25 pictures. For
// test_hub_encoder_dies.py; never installed.
#include "pipelines/ingest/gst_start.hpp"
#include "tests/support/fake_encoders.hpp"

int recorder_main(int argc, char** argv);  // pipelines/record/main.cpp, renamed by meson.build

int main(int argc, char** argv) {
    if (const auto ready = hd::ingest::init_gstreamer(); !ready) return 1;
    hd::test::register_fake_encoder("vah264enc", hd::test::FakeEncoder::dies);
    return recorder_main(argc, argv);
}
