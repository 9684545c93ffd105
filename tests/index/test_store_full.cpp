// A store on a disk that is really full: nothing asserts, then or when there is space again.
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "tests/index/store_left.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

// A small file system of its own, for whoever may mount one.
class SmallDisk {
  public:
    SmallDisk() {
        mounted_ = ::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, "size=24m") == 0;
    }
    ~SmallDisk() {
        if (mounted_) (void)::umount2(folder_.path().c_str(), MNT_DETACH);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    bool mounted() const { return mounted_; }
    std::string path(const std::string& name) const { return folder_.path(name); }
    void fill() {
        std::ofstream out(path("somebody-elses"), std::ios::binary | std::ios::app);
        const std::string page(4096, 'x');
        while (out.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
        }
    }
    void empty() { std::ofstream(path("somebody-elses"), std::ios::trunc).flush(); }

  private:
    TempFolder folder_;
    bool mounted_ = false;
};

}  // namespace

TEST_SUITE("index/store/full") {
    TEST_CASE("a store on a full disk keeps what it has and is left to the next process") {
        SmallDisk disk;
        if (!disk.mounted()) {
            MESSAGE("skipped: needs the right to mount a tmpfs");
            return;
        }
        OpenReport report;
        auto opened = Store::open(disk.path("index"), {}, kEpoch, report);
        REQUIRE(opened.ok());
        Store& store = **opened;
        int kept = 0;
        disk.fill();
        while (store.put_clip(nth_clip(kept)).ok()) REQUIRE(++kept < 200'000);
        CHECK(store.failed());
        disk.empty();
        check_left_alone(store, kept);
        check_next_process(disk.path("index"), disk.path("again"), kept);
    }
}
