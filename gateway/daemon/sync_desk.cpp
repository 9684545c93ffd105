#include "gateway/daemon/sync_desk.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "gateway/config/config.hpp"
#include "gateway/daemon/recorder_user.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

// As of link.sock: one for each camera, some of recorders that are just ending, some strangers.
constexpr std::size_t kMostRecorders = 2 * config::kMaxCameras + 16;
// A recorder has one ask open; what sends more is not one of ours.
constexpr int kAsksPerTurn = 16;

}  // namespace

void SyncRule::done(bool ok, Micros took, BootTime now) {
    slow_ = ok && took <= kSlowSync ? 0 : slow_ + 1;
    if (ok && slow_ < kSlowSyncs) return;
    slow_ = 0;
    paused_until_ = now + kSyncPause;
}

SyncDesk::SyncDesk(link::LinkListener listener, std::unique_ptr<DiskSync> disk, Wiring wiring)
    : wiring_(wiring), listener_(std::move(listener)), disk_(std::move(disk)) {
    say(true, "one sync of the file system serves all recorders");
}

std::unique_ptr<SyncDesk> SyncDesk::open(const Places& places, Wiring wiring) {
    const std::string path = join(places.runtime_folder, "sync.sock");
    std::optional<Error> error;
    auto disk = open_disk_sync(join(places.data_folder, "halfdoord.lock"));
    if (disk) {
        link::LinkListener::Options who{.path = path, .allowed_users = {}};
        if (places.recorder_user) who.allowed_users = {places.recorder_user->uid, ::geteuid()};
        auto listener = link::LinkListener::bind(std::move(who));
        auto shared = listener && places.recorder_user ? share_socket(path, *places.recorder_user)
                                                       : Result<void>();
        if (listener && shared)
            return std::make_unique<SyncDesk>(std::move(*listener), std::move(*disk), wiring);
        error = listener ? shared.error() : listener.error();
    } else {
        error = disk.error();
    }
    real_file_system().remove(path).ignore();  // of an earlier process; nobody listens there
    wiring.board.set_sync({.shared = false, .why = error->what});
    log::info("sync.way", "shared=false why=\"{}\"", error->what);
    return nullptr;
}

void SyncDesk::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) step(100ms);
}

void SyncDesk::say(bool shared, const std::string& why) {
    wiring_.board.set_sync({.shared = shared, .why = why});
    std::uint64_t suppressed = 0;
    if (log_.allow(wiring_.clock.boot().us, suppressed))
        log::info("sync.way", "shared={} why=\"{}\" suppressed={}", shared, why, suppressed);
}

void SyncDesk::accept_all() {
    for (;;) {
        auto channel = listener_.accept();
        if (!channel && channel.error().code != ErrorCode::refused) return;
        if (!channel) continue;
        if (!*channel) return;
        if (connections_.size() < kMostRecorders)
            connections_.push_back({.channel = std::move(**channel), .ask = {}});
    }
}

void SyncDesk::read_all() {
    for (Connection& connection : connections_) {
        for (int i = 0; !connection.dead; ++i) {
            auto message = connection.channel.receive();
            if (message && !*message) break;
            const auto* ask = message ? std::get_if<link::SyncAsk>(&**message) : nullptr;
            if (ask != nullptr && i < kAsksPerTurn)
                take(connection, *ask);
            else
                connection.dead = true;  // It syncs its own file, and may connect again.
        }
    }
    std::erase_if(connections_, [](const Connection& connection) { return connection.dead; });
}

void SyncDesk::take(Connection& connection, const link::SyncAsk& ask) {
    connection.ask = ask;
    // Another drive under its clips, or the one that was here before.
    if (ask.device != disk_->device() || !rule_.may_share(wiring_.clock.boot()))
        return answer(connection, false);
    if (!due_) due_ = wiring_.clock.boot() + kSyncGather;
}

void SyncDesk::answer(Connection& connection, bool synced) {
    if (!connection.ask) return;
    const link::SyncAnswer words{connection.ask->number, synced};
    connection.ask.reset();
    if (connection.channel.send(words) == link::LinkChannel::Sent::closed) connection.dead = true;
}

// What is asked while this runs waits in the sockets, for the next one.
void SyncDesk::sync_for_all() {
    due_.reset();
    const BootTime begin = wiring_.clock.boot();
    const auto done = disk_->sync();
    const BootTime now = wiring_.clock.boot();
    for (Connection& connection : connections_) answer(connection, done.ok());
    const bool shared_before = wiring_.board.sync().shared;
    rule_.done(done.ok(), now - begin, now);
    const bool shares = rule_.may_share(now);
    if (!done) {
        say(false,
            fmt::format("recorders sync their own files for a minute: {}", done.error().what));
        // The error is told to nobody twice, and concerns also who did not ask this time: each
        // syncs its own file once before it is served again, because it has to connect again.
        connections_.clear();
    } else if (!shares) {
        say(false, fmt::format("recorders sync their own files for a minute: {} syncs of the whole "
                               "file system in a row took more than {} ms",
                               kSlowSyncs, kSlowSync.count() / 1000));
    } else if (!shared_before) {
        say(true, "one sync of the file system serves all recorders");
    }
}

void SyncDesk::step(Micros timeout) {
    std::vector<pollfd> waits{{.fd = listener_.fd(), .events = POLLIN, .revents = 0}};
    for (const Connection& connection : connections_)
        waits.push_back({.fd = connection.channel.fd(), .events = POLLIN, .revents = 0});
    if (due_) timeout = std::clamp(*due_ - wiring_.clock.boot(), Micros(0), timeout);
    static_cast<void>(
        ::poll(waits.data(), waits.size(), static_cast<int>((timeout.count() + 999) / 1000)));
    accept_all();
    read_all();
    if (due_ && wiring_.clock.boot() >= *due_) sync_for_all();
}

}  // namespace hd::daemon
