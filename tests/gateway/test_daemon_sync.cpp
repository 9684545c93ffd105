// One sync for all recorders: who is answered what, and never before it is true.
#include <functional>

#include <doctest/doctest.h>

#include "gateway/daemon/sync_desk.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::daemon;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kDevice = 0x801;

// A disk whose sync does what the test says.
struct FakeDisk {
    int syncs = 0;
    std::function<Result<void>()> work = [] { return Result<void>(); };
};
class FakeDiskSync final : public DiskSync {
  public:
    explicit FakeDiskSync(FakeDisk& disk) : disk_(disk) {}
    std::uint64_t device() const override { return kDevice; }
    Result<void> sync() override {
        ++disk_.syncs;
        return disk_.work();
    }

  private:
    FakeDisk& disk_;
};

struct Recorder {
    link::LinkChannel channel;
    bool closed = false;
    void ask(std::uint64_t number, std::uint64_t device = kDevice) {
        REQUIRE(channel.send(link::SyncAsk{number, device}) == link::LinkChannel::Sent::yes);
    }
    // What it was told since it last listened.
    std::vector<link::SyncAnswer> heard() {
        std::vector<link::SyncAnswer> out;
        for (;;) {
            auto message = channel.receive();
            if (!message) closed = true;
            if (!message || !*message) return out;
            out.push_back(std::get<link::SyncAnswer>(**message));
        }
    }
};

struct Desk {
    TempFolder folder;
    FakeClock clock;
    StatusBoard board;
    FakeDisk disk;
    const std::string path = join(folder.path(), "sync.sock");
    SyncDesk desk{link::LinkListener::bind({.path = path, .allowed_users = {}}).value(),
                  std::make_unique<FakeDiskSync>(disk),
                  {.clock = clock, .board = board}};

    Recorder recorder() { return {link::LinkChannel::connect(path).value()}; }
    void turn() { desk.step(0ms); }
    // Until what was asked is due, and answered.
    void round() {
        turn();
        clock.advance(kSyncGather);
        turn();
    }
};

using Answers = std::vector<link::SyncAnswer>;

}  // namespace

TEST_SUITE_BEGIN("gateway/daemon/sync_desk");

TEST_CASE("all who ask within 30 ms of the first are answered by one sync") {
    Desk d;
    Recorder a = d.recorder(), b = d.recorder(), c = d.recorder();
    a.ask(1);
    d.turn();
    d.clock.advance(29ms);
    b.ask(7);
    c.ask(3);
    d.turn();
    CHECK(d.disk.syncs == 0);
    CHECK(a.heard().empty());
    d.clock.advance(1ms);
    d.turn();
    CHECK(d.disk.syncs == 1);
    CHECK(a.heard() == Answers{{1, true}});
    CHECK(b.heard() == Answers{{7, true}});
    CHECK(c.heard() == Answers{{3, true}});
    d.round();
    CHECK(d.disk.syncs == 1);
    CHECK(d.board.sync().shared);
}

TEST_CASE(
    "nobody is answered before the sync has ended, nor by one that had begun before the ask") {
    Desk d;
    Recorder a = d.recorder(), late = d.recorder();
    d.turn();
    d.disk.work = [&] {
        CHECK(a.heard().empty());
        if (d.disk.syncs == 1) late.ask(5);
        return Result<void>();
    };
    a.ask(1);
    d.round();
    CHECK(a.heard() == Answers{{1, true}});
    CHECK(late.heard().empty());
    d.round();
    CHECK(d.disk.syncs == 2);
    CHECK(late.heard() == Answers{{5, true}});
}

TEST_CASE("a sync that failed promises nothing, and everybody syncs itself once and for a minute") {
    Desk d;
    Recorder a = d.recorder(), other = d.recorder();
    d.turn();
    d.disk.work = [] { return Result<void>(Error{ErrorCode::unavailable, "syncfs: I/O error"}); };
    a.ask(1);
    d.round();
    CHECK(a.heard() == Answers{{1, false}});
    CHECK_FALSE(d.board.sync().shared);
    CHECK(d.board.sync().why.ends_with("syncfs: I/O error"));
    // The error may concern who did not ask: a new connection begins with an own sync.
    CHECK(other.heard().empty());
    CHECK(a.closed);
    CHECK(other.closed);

    d.disk.work = [] { return Result<void>(); };
    Recorder again = d.recorder();
    d.clock.advance(kSyncPause - 1s);
    again.ask(2);
    d.turn();
    CHECK(again.heard() == Answers{{2, false}});
    CHECK(d.disk.syncs == 1);
    d.clock.advance(2s);
    again.ask(3);
    d.round();
    CHECK(again.heard() == Answers{{3, true}});
    CHECK(d.board.sync().shared);
}

TEST_CASE("three long syncs in a row are followed by a minute without") {
    Desk d;
    Recorder a = d.recorder();
    std::vector<Micros> takes{250ms, 250ms, 10ms, 250ms, 250ms, 250ms};
    d.disk.work = [&] {
        d.clock.advance(takes[static_cast<std::size_t>(d.disk.syncs - 1)]);
        return Result<void>();
    };
    for (std::uint64_t n = 1; n <= takes.size(); ++n) {
        CHECK(d.board.sync().shared);
        a.ask(n);
        d.round();
        CHECK(a.heard() == Answers{{n, true}});
    }
    CHECK_FALSE(d.board.sync().shared);
    a.ask(7);
    d.turn();
    CHECK(a.heard() == Answers{{7, false}});
    CHECK_FALSE(a.closed);
    d.clock.advance(kSyncPause);
    takes.push_back(10ms);
    a.ask(8);
    d.round();
    CHECK(a.heard() == Answers{{8, true}});
    CHECK(d.disk.syncs == 7);
    CHECK(d.board.sync().shared);
}

TEST_CASE("whoever writes to another file system syncs it") {
    Desk d;
    Recorder a = d.recorder(), b = d.recorder();
    a.ask(1, kDevice + 1);
    d.turn();
    CHECK(a.heard() == Answers{{1, false}});
    b.ask(1);
    d.round();
    CHECK(b.heard() == Answers{{1, true}});
    CHECK(a.heard().empty());
}

TEST_CASE("what is no ask ends that connection and no other") {
    Desk d;
    Recorder a = d.recorder(), stranger = d.recorder(), flood = d.recorder(), gone = d.recorder();
    d.turn();
    REQUIRE(stranger.channel.send(link::Farewell{"hello"}) == link::LinkChannel::Sent::yes);
    for (std::uint64_t n = 1; n < 40; ++n) flood.ask(n);
    gone.ask(1);
    gone.channel = link::LinkChannel{Fd{}};
    a.ask(1);
    d.round();
    CHECK(a.heard() == Answers{{1, true}});
    CHECK(stranger.heard().empty());
    CHECK(stranger.closed);
    CHECK(flood.heard().empty());
    CHECK(flood.closed);
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("gateway/daemon/disk_sync");

TEST_CASE("a sync counts only if the file system still takes writes") {
    CHECK(judge_sync({}).ok());
    CHECK_FALSE(judge_sync({.syncfs = EIO}).ok());
    CHECK_FALSE(judge_sync({.read_only = true}).ok());
    CHECK_FALSE(judge_sync({.write = EIO}).ok());
}

TEST_CASE(
    "a sync of the file system is trusted on ext4 alone, with a kernel that tells its errors") {
    const std::string mounts =
        "24 1 254:0 / / rw,relatime shared:1 - xfs /dev/vda rw\n"
        "25 24 0:22 / /proc rw - proc proc rw\n"
        "31 24 8:1 /home /data rw,relatime shared:2 master:1 - ext4 /dev/sda1 rw\n"
        "32 24 8:17 / /old rw - ext2 /dev/sdb1 rw";
    CHECK(mounted_type(mounts, "8:1") == "ext4");
    CHECK(mounted_type(mounts, "8:17") == "ext2");
    CHECK(mounted_type(mounts, "254:0") == "xfs");
    CHECK(mounted_type(mounts, "8:2") == "");
    CHECK(mounted_type("31 24 8:1", "8:1") == "");
    CHECK(mounted_type("", "8:1") == "");
    for (const char* release : {"5.17.0", "5.17", "6.1.0-13-arm64", "10.0"})
        CHECK(kernel_reports_sync_errors(release));
    for (const char* release : {"5.16.9", "5.8.0", "4.9.337-tegra", "2.6.39", "5", "", "6.x", "x"})
        CHECK_FALSE(kernel_reports_sync_errors(release));
}

TEST_CASE("what this machine has is used or refused with a reason, and works") {
    const TempFolder folder;
    const std::string file = join(folder.path(), "lock");
    CHECK_FALSE(open_disk_sync(file).ok());
    REQUIRE(write_file_atomic(file, Bytes(1), 0600).ok());
    auto disk = open_disk_sync(file);
    if (!disk) {
        MESSAGE("not tried: " << disk.error().what);
        CHECK(disk.error().code == ErrorCode::refused);
        return;
    }
    CHECK((*disk)->sync().ok());
    auto beside = real_file_system().create(join(folder.path(), "clip"));
    REQUIRE(beside.ok());
    CHECK((*beside)->device() == (*disk)->device());
}

TEST_SUITE_END();
