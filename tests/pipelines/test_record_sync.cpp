// A recorder whose syncs are shared: what it takes for durable, and when it goes its own way.
#include <functional>
#include <thread>

#include <doctest/doctest.h>

#include "pipelines/record/shared_sync_fs.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kDevice = 0x801;

// A recorder's file on a disk in memory, and a daemon that does what the test says with one ask.
// Both sides take turns: while the recorder waits for its answer it touches nothing.
struct Bench {
    using Script = std::function<void(link::LinkChannel&, const link::SyncAsk&)>;
    TempFolder folder;
    const std::string path = folder / "sync.sock";
    FakeClock clock;
    MemoryFileSystem disk;
    SyncLink link{clock, path, link::LinkChannel::connect};
    SharedSyncFileSystem fs{disk, link};
    std::optional<link::LinkListener> listener;
    std::optional<link::LinkChannel> peer;
    std::unique_ptr<AppendFile> file;
    std::size_t written = 0;

    explicit Bench(bool daemon = true) {
        disk.set_device(kDevice);
        disk.put("/clips/there", {});
        if (daemon) start_daemon();
        file = fs.create("/clips/a").value();
        REQUIRE(fs.sync_folder("/clips").ok());
    }
    void start_daemon() {
        peer.reset();
        listener.emplace(link::LinkListener::bind({.path = path, .allowed_users = {}}).value());
    }
    void append() {
        REQUIRE(file->append(Bytes(100, 7)).ok());
        written += 100;
    }
    // Bytes of the file that a power cut now would leave.
    std::size_t durable() const { return disk.durable_bytes("/clips/a"); }
    // Its own sync; the file's first, and that of a new connection.
    void sync_alone() {
        append();
        REQUIRE(file->sync_data().ok());
        REQUIRE(durable() == written);
    }
    void get_to_know() {
        sync_alone();  // of the file
        sync_alone();  // connects
        auto accepted = listener->accept();
        REQUIRE(accepted.ok());
        REQUIRE(accepted->has_value());
        peer = std::move(**accepted);
    }
    // One sync, of which the daemon hears.
    Result<void> sync_with(const Script& script) {
        append();
        std::thread daemon([&] {
            for (int i = 0; i < 20'000; ++i) {
                auto message = peer->receive();
                if (!message) return;
                if (*message) return script(*peer, std::get<link::SyncAsk>(**message));
                std::this_thread::sleep_for(1ms);
            }
        });
        auto done = file->sync_data();
        daemon.join();
        return done;
    }
};

void tell(link::LinkChannel& to, std::uint64_t number, bool synced) {
    CHECK(to.send(link::SyncAnswer{number, synced}) == link::LinkChannel::Sent::yes);
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/sync_link");

TEST_CASE("what the daemon synced for all is durable, and is not synced twice") {
    Bench b;
    b.get_to_know();
    const std::uint64_t before = b.disk.operations();
    bool answered = false;
    REQUIRE(b.sync_with([&](link::LinkChannel& to, const link::SyncAsk& ask) {
                 CHECK(ask.device == kDevice);
                 CHECK(b.durable() < b.written);
                 b.disk.sync_everything();
                 answered = true;
                 tell(to, ask.number, true);
             }).ok());
    CHECK(answered);
    CHECK(b.durable() == b.written);
    CHECK(b.disk.operations() == before + 2);  // append and write back
}

TEST_CASE("without a daemon each sync is the file's own") {
    Bench b(false);
    for (int i = 0; i < 3; ++i) b.sync_alone();
    // One that comes is not asked about what was written before it came.
    b.start_daemon();
    b.sync_alone();
    b.peer = std::move(**b.listener->accept());
    CHECK(b.sync_with([](link::LinkChannel& to, const link::SyncAsk& ask) {
               tell(to, ask.number, false);
           }).ok());
    CHECK(b.durable() == b.written);
}

TEST_CASE("sync it yourself is done at once") {
    Bench b;
    b.get_to_know();
    for (int i = 0; i < 2; ++i) {
        REQUIRE(b.sync_with([](link::LinkChannel& to, const link::SyncAsk& ask) {
                     tell(to, ask.number, false);
                 }).ok());
        CHECK(b.durable() == b.written);
    }
}

TEST_CASE("a daemon that dies between ask and answer costs nothing but the ask") {
    Bench b;
    b.get_to_know();
    const BootTime before = b.clock.boot();
    REQUIRE(b.sync_with([](link::LinkChannel& to, const link::SyncAsk&) {
                 to = link::LinkChannel{Fd{}};
             }).ok());
    CHECK(b.durable() == b.written);
    CHECK(b.clock.boot() == before);
    // The next daemon is asked from the second sync on.
    b.start_daemon();
    b.sync_alone();
    b.peer = std::move(**b.listener->accept());
    REQUIRE(b.sync_with([&](link::LinkChannel& to, const link::SyncAsk& ask) {
                 b.disk.sync_everything();
                 tell(to, ask.number, true);
             }).ok());
    CHECK(b.durable() == b.written);
}

TEST_CASE("an answer to an older ask promises nothing") {
    Bench b;
    b.get_to_know();
    std::uint64_t first = 0;
    REQUIRE(b.sync_with([&](link::LinkChannel& to, const link::SyncAsk& ask) {
                 first = ask.number;
                 tell(to, ask.number, false);
             }).ok());
    REQUIRE(b.sync_with([&](link::LinkChannel& to, const link::SyncAsk& ask) {
                 CHECK(ask.number > first);
                 tell(to, first, true);
                 b.clock.advance(kSyncPatience);
             }).ok());
    CHECK(b.durable() == b.written);
}

TEST_CASE("an answer that comes too late is not waited for, nor taken for the next one") {
    Bench b;
    b.get_to_know();
    std::uint64_t late = 0;
    REQUIRE(b.sync_with([&](link::LinkChannel&, const link::SyncAsk& ask) {
                 late = ask.number;
                 b.clock.advance(kSyncPatience);
             }).ok());
    CHECK(b.durable() == b.written);
    tell(*b.peer, late, true);
    // It is left alone for a while: its own syncs, nothing asked.
    for (int i = 0; i < 3; ++i) b.sync_alone();
    CHECK_FALSE(b.peer->receive().value().has_value());
    b.clock.advance(kSyncRest);
    bool asked = false;
    REQUIRE(b.sync_with([&](link::LinkChannel& to, const link::SyncAsk& ask) {
                 asked = true;
                 tell(to, ask.number, false);
             }).ok());
    CHECK(asked);
    CHECK(b.durable() == b.written);
}

TEST_CASE("an error of the file's own data is told and nobody is asked") {
    Bench b;
    b.get_to_know();
    b.append();
    b.disk.fail_at(b.disk.operations(), {ErrorCode::unavailable, "I/O error"});
    CHECK_FALSE(b.file->sync_data().ok());
    CHECK_FALSE(b.peer->receive().value().has_value());
}

TEST_CASE("a new file begins with its own sync; journals are never asked about") {
    Bench b;
    b.get_to_know();
    b.file = b.fs.create("/clips/b").value();
    REQUIRE(b.file->append(Bytes(10)).ok());
    REQUIRE(b.file->sync_data().ok());
    auto journal = b.fs.open_append("/clips/log").value();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(journal->append(Bytes(10)).ok());
        REQUIRE(journal->sync_data().ok());
    }
    CHECK_FALSE(b.peer->receive().value().has_value());
}

TEST_CASE("a file of a file system without a number is its own") {
    MemoryFileSystem disk;
    FakeClock clock;
    int connects = 0;
    SyncLink link(clock, "nowhere", [&](const std::string&) -> Result<link::LinkChannel> {
        ++connects;
        return Error{ErrorCode::not_found, "no daemon"};
    });
    SharedSyncFileSystem fs(disk, link);
    auto file = fs.create("a").value();
    for (int i = 0; i < 3; ++i) REQUIRE(file->sync_data().ok());
    CHECK(connects == 0);
}

TEST_SUITE_END();
