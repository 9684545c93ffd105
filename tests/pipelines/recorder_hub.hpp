// A stand-in for the daemon: listens on a link socket, starts real recorders, gives them settings,
// keeps what they say. And the check of what they left on the disk.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/clock.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/link/link_socket.hpp"
#include "pipelines/mux/probe.hpp"

extern char** environ;

namespace hd::test {

// A child process; killed with the object.
class Child {
  public:
    explicit Child(const std::vector<std::string>& args, const std::string& output = "") {
        std::vector<char*> argv;
        for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        if (!output.empty())
            posix_spawn_file_actions_addopen(&actions, 1, output.c_str(),
                                             O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
        posix_spawn_file_actions_destroy(&actions);
    }
    ~Child() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Child(Child&& o) noexcept : pid_(std::exchange(o.pid_, -1)) {}
    Child& operator=(Child&&) = delete;
    void signal(int number) const {
        if (pid_ > 0) ::kill(pid_, number);
    }
    // The exit code, or -1 if it does not end in time, -2 if a signal ended it.
    int wait(int seconds) {
        for (int i = 0; i < seconds * 50 && pid_ > 0; ++i) {
            int status = 0;
            if (::waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = -1;
                return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
            }
            ::usleep(20'000);
        }
        return -1;
    }
    pid_t pid() const { return pid_; }

  private:
    pid_t pid_ = -1;
};

class RecorderHub {
  public:
    RecorderHub(std::string folder, std::string recorder_program)
        : folder_(std::move(folder)), program_(std::move(recorder_program)) {
        listen();
    }

    // `settings.camera`, `.data_folder` and `.recipients` are filled in.
    CameraId add(link::RecorderSettings settings, std::uint8_t number) {
        settings.camera = CameraId{{number, 0xca}};
        settings.data_folder = data();
        settings.recipients = {owner_.recipient};
        settings_[settings.camera] = settings;
        children_.emplace(settings.camera, start(settings.camera));
        return settings.camera;
    }
    void change(link::RecorderSettings settings) { settings_[settings.camera] = settings; }
    const link::RecorderSettings& settings(CameraId c) const { return settings_.at(c); }

    void run_for(double seconds) {
        const BootTime end =
            system_clock().boot() + Micros(static_cast<std::int64_t>(seconds * 1e6));
        while (system_clock().boot() < end) step();
    }
    template <typename Done>
    bool run_until(Done done, double seconds) {
        const BootTime end =
            system_clock().boot() + Micros(static_cast<std::int64_t>(seconds * 1e6));
        while (system_clock().boot() < end) {
            step();
            if (done()) return true;
        }
        return false;
    }
    void send(CameraId camera, const link::Message& message) {
        for (auto& c : channels_)
            if (c.camera == camera) c.channel.send(message);
    }
    // As if the daemon was killed: connections and socket are gone.
    void vanish() {
        channels_.clear();
        listener_.reset();
    }
    void listen() {
        auto bound =
            link::LinkListener::bind({.path = folder_ + "/link.sock", .allowed_users = {}});
        if (bound) listener_.emplace(std::move(*bound));
    }
    // Stop to all; the exit codes.
    std::vector<int> stop_all() {
        for (const auto& [camera, child] : children_) send(camera, link::Stop{"the test is over"});
        run_for(1.5);
        std::vector<int> codes;
        for (auto& [camera, child] : children_) codes.push_back(child.wait(10));
        step();
        children_.clear();
        return codes;
    }
    Child& child(CameraId camera) { return children_.at(camera); }
    void restart(CameraId camera) {
        children_.erase(camera);
        children_.emplace(camera, start(camera));
    }

    template <typename T>
    std::vector<T> said(CameraId camera) const {
        std::vector<T> out;
        const auto found = said_.find(camera);
        if (found == said_.end()) return out;
        for (const link::Message& m : found->second)
            if (const T* t = std::get_if<T>(&m)) out.push_back(*t);
        return out;
    }
    std::string data() const { return folder_ + "/data"; }
    const seal::Identity& owner() const { return owner_; }

  private:
    struct Connection {
        link::LinkChannel channel;
        CameraId camera;
        std::optional<Digest> told;
        bool dead = false;
    };

    Child start(CameraId camera) {
        return Child({program_, "--link", folder_ + "/link.sock", "--camera", to_string(camera)});
    }
    void step() {
        std::vector<pollfd> wait;
        if (listener_) wait.push_back({listener_->fd(), POLLIN, 0});
        for (const Connection& c : channels_) wait.push_back({c.channel.fd(), POLLIN, 0});
        ::poll(wait.data(), wait.size(), 20);
        if (listener_)
            if (auto accepted = listener_->accept(); accepted && *accepted)
                channels_.push_back({std::move(**accepted), {}, {}, false});
        for (Connection& c : channels_) read(c);
        std::erase_if(channels_, [](const Connection& c) { return c.dead; });
    }
    void read(Connection& c) {
        for (;;) {
            auto message = c.channel.receive();
            if (!message) {
                c.dead = true;
                return;
            }
            if (!*message) break;
            if (const auto* hello = std::get_if<link::Hello>(&**message)) {
                c.camera = hello->camera;
                if (hello->has_settings) c.told = hello->settings;
            }
            said_[c.camera].push_back(std::move(**message));
        }
        const auto wanted = settings_.find(c.camera);
        if (wanted == settings_.end()) return;
        const Digest hash = link::settings_hash(wanted->second);
        if (c.told == hash) return;
        c.channel.send(link::NewSettings{wanted->second});
        c.told = hash;
    }

    std::string folder_, program_;
    seal::Identity owner_ = seal::generate_identity();
    std::optional<link::LinkListener> listener_;
    std::vector<Connection> channels_;
    std::map<CameraId, link::RecorderSettings> settings_;
    std::map<CameraId, std::vector<link::Message>> said_;
    std::map<CameraId, Child> children_;
};

// What a camera's finished clips hold, opened with the owner's key.
struct Found {
    std::vector<clip::ClipSummary> clips;  // in order of time
    std::vector<std::uint64_t> numbers;    // frame counters in order
    std::uint64_t frames = 0;
    std::uint64_t sound_units = 0;
    std::vector<Bytes> opened;  // each clip's pieces, put together
    std::vector<std::string> problems;
};

inline Found open_all(const std::string& data, const CameraId& camera, const seal::Identity& owner,
                      bool unfinished_too = false) {
    Found found;
    std::vector<std::string> paths;
    const std::string folder = data + "/clips/" + to_string(camera);
    if (!std::filesystem::exists(folder)) return found;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder))
        if (e.path().extension() == ".clip" || (unfinished_too && e.path().extension() == ".part"))
            paths.push_back(e.path().string());
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) {
        auto reader = clip::ClipReader::open(real_file_system(), path);
        if (!reader) {
            found.problems.push_back(path + ": " + reader.error().what);
            continue;
        }
        Bytes media;
        std::uint64_t said = 0;
        for (std::size_t i = 0; i < reader->table().size(); ++i) {
            auto piece = reader->read_piece(i);
            auto plain = piece ? seal::open(piece->age_file, {&owner, 1}) : piece.error();
            auto header = piece ? seal::open_header(piece->age_file, {&owner, 1}) : piece.error();
            if (!plain || !header ||
                !seal::check_piece_stanza(header->parsed.header, reader->header_bytes(),
                                          piece->identity_bytes)) {
                found.problems.push_back(path + ": piece " + std::to_string(i));
                continue;
            }
            if (piece->identity.kind == clip::PieceKind::audio)
                found.sound_units += piece->identity.frames;
            else
                said += piece->identity.frames;
            media.insert(media.end(), plain->begin(), plain->end());
        }
        auto facts = mux::probe_bytes(media);
        if (!facts || facts->frames != said) {
            found.problems.push_back(path + ": frames");
            continue;
        }
        found.frames += facts->frames;
        for (const auto& mark : facts->marks) found.numbers.push_back(mark.number);
        if (reader->summary()) found.clips.push_back(*reader->summary());
        found.opened.push_back(std::move(media));
    }
    return found;
}

struct Counted {
    std::uint64_t lost = 0, repeated = 0;
};
inline Counted count(const std::vector<std::uint64_t>& numbers) {
    Counted c;
    for (std::size_t i = 1; i < numbers.size(); ++i) {
        if (numbers[i] <= numbers[i - 1]) ++c.repeated;
        if (numbers[i] > numbers[i - 1] + 1) c.lost += numbers[i] - numbers[i - 1] - 1;
    }
    return c;
}

}  // namespace hd::test
