#include "tests/gateway/daemon_hub.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/ledger/hub_folder.hpp"
#include "index/base/clock.hpp"

namespace hd::test {

namespace {

std::string program(const char* variable) {
    const char* path = std::getenv(variable);
    if (path == nullptr) throw std::runtime_error(std::string(variable) + " is not set");
    return path;
}

void write_text(const std::string& path, std::string_view text) {
    HD_CHECK(write_file_atomic(path, as_bytes(text), 0600).ok());
}

ledger::SignedCard hub_card_of(const ledger::NoteSigner& hub) {
    ledger::Card card{.kind = ledger::CardKind::hub, .name = "test hub", .note = hub.key()};
    card.curve.push_back({.use = ledger::CurveUse::owner, .key = {1}});
    return ledger::sign_card(card, hub);
}

}  // namespace

Secret<32> fixed_secret(std::uint8_t fill) {
    Secret<32> out;
    for (std::uint8_t& b : out.mut()) b = fill;
    return out;
}

TestHub::TestHub(std::vector<HubCamera> with_cameras, bool with_policy)
    : cameras(std::move(with_cameras)),
      owner_secret(fixed_secret(1)),
      requester_secret(fixed_secret(2)),
      hub_seed(fixed_secret(9)),
      owner(ledger::person_signer(owner_secret, ledger::CardKind::owner)),
      hub(ledger::hub_signer(hub_seed)),
      hub_id(ledger::hub_id(hub.key().key)),
      owner_card(ledger::make_person_card(owner_secret, ledger::CardKind::owner, "Anna").value()),
      requester_card(
          ledger::make_person_card(requester_secret, ledger::CardKind::requester, "Police")
              .value()) {
    FileSystem& fs = real_file_system();
    HD_CHECK(fs.make_folders(data() + "/hub", 0700).ok());
    HD_CHECK(fs.make_folders(data() + "/policy", 0700).ok());
    const std::string hub_folder = data() + "/hub/";
    HD_CHECK(ledger::write_hub_seed(hub_folder + std::string(ledger::kHubKeyFile), hub_seed).ok());
    write_text(hub_folder + std::string(ledger::kHubCardFile), hub_card_of(hub).bytes);
    write_text(hub_folder + std::string(ledger::kOwnerCardFile), owner_card.bytes);
    consent::Policy first = consent::first_policy(hub_id, owner_card).value();
    first.minimum_age_s = 0;
    first.cell = consent::cell_of(40.71, -74.01).value();
    for (const HubCamera& camera : cameras) first.cameras.push_back(camera.id);
    auto requester =
        consent::requester_from_card(requester_card, "county police", consent::Level::clips);
    first.requesters = {requester.value()};
    policy = consent::sign_policy(first, owner).value();
    if (with_policy) write_text(data() + "/policy/1.note", policy.bytes);
    write_config();
}

TestHub::~TestHub() {
    if (process_ && !process_->ended()) process_->signal(SIGKILL);
    if (process_) {
        wait_for([this] { return process_->ended(); }, 5);
        (void)process_->reap();
    }
    kill_recorders();
}

void TestHub::write_config(const std::string& extra) {
    std::string text = fmt::format("[hub]\ndata_folder = \"{}\"\nrecorder_program = \"{}\"\n",
                                   data(), program("HALFDOOR_FAKE_RECORDER"));
    text += extra;
    if (extra.find("[retention]") == std::string::npos) text += "[retention]\nreserve_mb = 16\n";
    for (const HubCamera& camera : cameras) {
        text += fmt::format(
            "[[camera]]\nid = \"{}\"\nname = \"{}\"\nurl = \"rtsp://192.0.2.1/{}\"\nenabled = {}\n",
            to_string(camera.id), camera.name, camera.behaviour, camera.enabled);
    }
    write_text(path("halfdoor.toml"), text);
}

void TestHub::start() {
    const std::string exe = program("HALFDOORD");
    std::vector<std::string> arguments{exe, "--config", path("halfdoor.toml")};
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, path("log").c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t pid = 0;
    REQUIRE(posix_spawn(&pid, exe.c_str(), &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    process_.emplace(daemon::ProcessHandle::of(pid).value());
    const std::string socket = data() + "/run/owner.sock";
    const bool up = wait_for([&] {
        if (process_->ended()) return true;
        auto client = wire::Client::open(
            {.address = "ipc://" + socket, .timeout = std::chrono::milliseconds(300)});
        return client && client->ask("hello", "{}").ok();
    });
    INFO(log_text());
    REQUIRE(up);
    REQUIRE(running());
}

std::string TestHub::end(int number) {
    process_->signal(number);
    INFO(log_text());
    REQUIRE(wait_for([this] { return process_->ended(); }, 30));
    std::string words = process_->reap();
    process_.reset();
    return words;
}

wire::Reply TestHub::ask(std::string_view verb, std::string_view json, wire::Frames binary,
                         std::string_view endpoint) {
    auto client =
        wire::Client::open({.address = fmt::format("ipc://{}/run/{}.sock", data(), endpoint)});
    REQUIRE(client.ok());
    auto reply = client->ask(verb, json, std::move(binary));
    INFO(log_text());
    REQUIRE(reply.ok());
    return std::move(*reply);
}

bool TestHub::wait_for(const std::function<bool()>& condition, int seconds) {
    const BootTime until = system_clock().boot() + std::chrono::seconds(seconds);
    while (!condition()) {
        if (system_clock().boot() >= until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
    }
    return true;
}

std::string TestHub::closed_clips(TimeSpan window) {
    return ask("clips", fmt::format(R"({{"from":"{}","to":"{}","limit":5000,"gaps":true}})",
                                    to_rfc3339(window.begin), to_rfc3339(window.end)))
        .json;
}

std::size_t TestHub::clips_one_by_one(TimeSpan window) {
    std::size_t clips = 0;
    std::string cursor;
    do {
        const auto page = ask(
            "clips", fmt::format(R"({{"from":"{}","to":"{}","limit":1{}}})",
                                 to_rfc3339(window.begin), to_rfc3339(window.end),
                                 cursor.empty() ? "" : fmt::format(R"(,"cursor":"{}")", cursor)));
        REQUIRE_MESSAGE(!page.error, (page.error ? page.error->what : ""));
        clips += page.body.array_or_empty("clips").size();
        cursor = page.body.text_or("cursor", "");
    } while (!cursor.empty());
    return clips;
}

std::size_t TestHub::clips_closed() {
    const WallTime now = system_clock().wall();
    const auto reply = ask("clips", fmt::format(R"({{"from":"{}","to":"{}","limit":5000}})",
                                                to_rfc3339(now - std::chrono::hours(1)),
                                                to_rfc3339(now + std::chrono::hours(1))));
    return reply.body.array_or_empty("clips").size();
}

wire::Json TestHub::status() { return ask("status").body; }

std::string TestHub::camera_state(const std::string& name) {
    const wire::Json all = status();
    for (const wire::Json& camera : all.array_or_empty("cameras")) {
        if (camera.text_or("name", "") == name) return camera.text_or("state", "");
    }
    return "";
}

std::set<pid_t> TestHub::recorders() const {
    std::set<pid_t> out;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream in(entry.path() / "cmdline");
        std::string line((std::istreambuf_iterator<char>(in)), {});
        if (line.find(data() + "/run/link.sock") != std::string::npos) {
            out.insert(static_cast<pid_t>(std::stol(name)));
        }
    }
    return out;
}

void TestHub::kill_recorders() {
    for (const pid_t pid : recorders()) ::kill(pid, SIGKILL);
    wait_for(
        [this] {
            while (::waitpid(-1, nullptr, WNOHANG) > 0) {
            }
            return recorders().empty();
        },
        5);
}

void TestHub::apply_policy(consent::Policy next) {
    next.number = policy.policy.number + 1;
    next.previous = policy.hash;
    policy = consent::sign_policy(next, owner).value();
    const ByteView note = as_bytes(policy.bytes);
    const auto reply = ask("policy.apply", "{}", {Bytes(note.begin(), note.end())});
    REQUIRE_FALSE(reply.error.has_value());
}

std::size_t TestHub::files_ending(const std::string& end) const {
    std::size_t count = 0;
    const std::string clips = data() + "/clips";
    if (!std::filesystem::exists(clips)) return 0;
    std::error_code gone;
    for (auto it = std::filesystem::recursive_directory_iterator(clips, gone);
         it != std::filesystem::recursive_directory_iterator(); it.increment(gone)) {
        if (it->path().string().ends_with(end)) ++count;
    }
    return count;
}

std::string TestHub::log_text() const {
    std::ifstream in(path("log"));
    return {(std::istreambuf_iterator<char>(in)), {}};
}

}  // namespace hd::test
