// A halfdoor-replay that a test starts and that ends with it. The program is $HALFDOOR_REPLAY,
// which meson sets (`env: replay_env, depends: replay_exe`).
#pragma once

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::test {

class ReplayChild {
  public:
    // Arguments without --port: the system chooses one. Throws if it does not come up, because no
    // test can go on then.
    explicit ReplayChild(std::vector<std::string> arguments) {
        const char* program = std::getenv("HALFDOOR_REPLAY");
        if (!program) throw std::runtime_error("HALFDOOR_REPLAY is not set; run under meson test");
        arguments.insert(arguments.begin(), {program, "--port", "0", "--json"});
        std::vector<char*> argv;
        for (std::string& a : arguments) argv.push_back(a.data());
        argv.push_back(nullptr);
        std::array<int, 2> ends{};
        if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        output_ = Fd(ends[0]);
        const Fd write_end(ends[1]);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
        std::array<int, 2> words{};
        if (pipe2(words.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        const Fd read_end(words[0]);
        input_ = Fd(words[1]);
        posix_spawn_file_actions_adddup2(&actions, read_end.get(), STDIN_FILENO);
        const int rc = posix_spawn(&pid_, program, &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        if (rc != 0) throw std::runtime_error("cannot start " + std::string(program));
        read_ready(Fd(dup(output_.get())));
    }
    ~ReplayChild() {
        kill(pid_, SIGTERM);
        waitpid(pid_, nullptr, 0);
    }
    ReplayChild(const ReplayChild&) = delete;
    ReplayChild& operator=(const ReplayChild&) = delete;

    int port() const { return port_; }
    pid_t pid() const { return pid_; }
    std::string url(const std::string& camera) const {
        return "rtsp://127.0.0.1:" + std::to_string(port_) + "/" + camera;
    }

    // With --commands: "CAMERA,KIND[,AMOUNT[,FOR]]" happens at once.
    void command(const std::string& fault) const {
        const std::string line = fault + "\n";
        if (write(input_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
            throw std::runtime_error("halfdoor-replay does not listen");
    }

  private:
    void read_ready(const Fd& in) {
        std::string line;
        char c = 0;
        while (read(in.get(), &c, 1) == 1 && c != '\n') line.push_back(c);
        const std::size_t at = line.find("\"port\":");
        if (line.find("\"ready\":true") == std::string::npos || at == std::string::npos)
            throw std::runtime_error("halfdoor-replay did not get ready: " + line);
        port_ = std::atoi(line.c_str() + at + 7);
    }

    Fd output_, input_;
    pid_t pid_ = -1;
    int port_ = 0;
};

}  // namespace hd::test
