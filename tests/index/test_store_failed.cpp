// A store whose disk takes no more writes, for another reason than that it is full: nothing
// asserts, what was synced is there for the next process.
#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "tests/index/store_model.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

// No file of this process grows beyond so many bytes (EFBIG: RocksDB knows it as an I/O error).
class FileLimit {
  public:
    explicit FileLimit(rlim_t bytes) {
        old_action_ = std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_) == 0);
        const rlimit now{bytes, old_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~FileLimit() {
        (void)::setrlimit(RLIMIT_FSIZE, &old_);
        (void)std::signal(SIGXFSZ, old_action_);
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;

  private:
    rlimit old_{};
    void (*old_action_)(int) = SIG_DFL;
};

clip::ClipSummary nth_clip(int n) {
    return make_clip(0, kEpoch + Micros(n * 60 * kSecond), Micros(60 * kSecond));
}

}  // namespace

TEST_SUITE("index/store/failed") {
    TEST_CASE("a store that cannot write says so, answers on, and can be left behind") {
        TempFolder dir;
        OpenReport report;
        int kept = 0;
        {
            auto opened = Store::open(dir.path("index"), {}, kEpoch, report);
            REQUIRE(opened.ok());
            Store& store = **opened;
            {
                const FileLimit limit(16 << 10);
                while (store.put_clip(nth_clip(kept)).ok()) REQUIRE(++kept < 10'000);
            }
            REQUIRE(kept > 10);
            CHECK(store.failed());
            // The disk is well again, and still: RocksDB would assert.
            CHECK(store.put_clip(nth_clip(kept)).error().code == ErrorCode::unavailable);
            CHECK(store.sync().error().code == ErrorCode::unavailable);
            CHECK(store.start_over(kEpoch).error().code == ErrorCode::unavailable);
            CHECK(!store
                       .put_gaps(std::vector<GapRecord>{{.camera = nth_clip(0).camera}},
                                 Durability::synced)
                       .ok());
            CHECK(!store.damaged());
            const TimeSpan all{kEpoch, kEpoch + Micros(kept * 60 * kSecond)};
            const auto answer = store.window({.window = all, .limit = kMaxPageItems});
            REQUIRE(answer.ok());
            CHECK(answer->clips.size() == static_cast<std::size_t>(kept));
            CHECK(store.coverage({.window = all, .bucket = Bucket::hour}).ok());
        }
        // The lock is this process's until it ends; another process finds the files as this copy.
        std::filesystem::copy(dir.path("index"), dir.path("again"));
        auto again = Store::open(dir.path("again"), {}, kEpoch, report);
        REQUIRE(again.ok());
        CHECK(report.moved_aside.empty());
        CHECK((*again)->totals(nth_clip(0).camera).clips == static_cast<std::uint64_t>(kept));
        CHECK((*again)->put_clip(nth_clip(kept)).ok());
        CHECK(!(*again)->failed());
    }
}
