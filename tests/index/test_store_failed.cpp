// A store whose disk takes no more writes, for another reason than that it is full: nothing
// asserts, what was synced is there for the next process.
#include <csignal>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include "tests/index/store_left.hpp"

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
            check_left_alone(store, kept);
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
        check_next_process(dir.path("index"), dir.path("again"), kept);
    }
}
