// Runs the real `halfdoor` as scripts do: arguments, standard input, exit code, both outputs. Each
// folder is a home of its own, so that nothing of the person who runs the tests is touched.
#pragma once

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_folder.hpp"

namespace hd::test {

inline std::string slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
inline void spill(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}
inline unsigned mode_of(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}
inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct Ran {
    int code = -1;
    std::string out, err;

    // The JSON lines of standard output.
    std::vector<nlohmann::json> lines() const {
        std::vector<nlohmann::json> found;
        std::size_t at = 0;
        while (at < out.size()) {
            const auto end = std::min(out.find('\n', at), out.size());
            if (end > at) found.push_back(nlohmann::json::parse(out.substr(at, end - at)));
            at = end + 1;
        }
        return found;
    }
    nlohmann::json json() const { return lines().at(0); }
};

class Desk {
  public:
    std::string operator/(const std::string& name) const { return folder_.path(name); }

    // The program named by this environment variable, started in the desk's folder.
    Ran program(const char* variable, const std::vector<std::string>& args,
                const std::string& input = "") const {
        const char* path = std::getenv(variable);
        HD_CHECK(path != nullptr);
        spill(folder_.path(".in"), input);
        std::vector<std::string> words{path};
        words.insert(words.end(), args.begin(), args.end());
        std::vector<char*> argv;
        for (auto& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            const auto open_as = [&](const char* name, int flags, int as) {
                ::dup2(::open(folder_.path(name).c_str(), flags, 0600), as);
            };
            open_as(".in", O_RDONLY, 0);
            open_as(".out", O_WRONLY | O_CREAT | O_TRUNC, 1);
            open_as(".err", O_WRONLY | O_CREAT | O_TRUNC, 2);
            ::setenv("HOME", folder_.path().c_str(), 1);
            ::setenv("TZ", "UTC", 1);
            ::unsetenv("XDG_CONFIG_HOME");
            ::unsetenv("HALFDOOR_CONFIG");
            ::unsetenv("HALFDOOR_KEY");
            if (::chdir(folder_.path().c_str()) == 0) ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                slurp(folder_.path(".out")), slurp(folder_.path(".err"))};
    }
    Ran halfdoor(const std::vector<std::string>& args, const std::string& input = "") const {
        return program("HALFDOOR_BIN", args, input);
    }

    // A key and its card: <name>.key, <name>.card.
    void person(const std::string& name, const std::string& kind) const {
        HD_CHECK(halfdoor({"keygen", "-o", name + ".key"}).code == 0);
        HD_CHECK(halfdoor({"card", "make", "--key", name + ".key", "--kind", kind, "--name", name,
                           "-o", name + ".card"})
                     .code == 0);
    }
    // A hub in data/ with halfdoor.toml, owned by person("owner"), policy 1 applied.
    void hub(const std::vector<std::string>& more = {}) const {
        person("owner", "owner");
        std::vector<std::string> args{"init",       "--data", "data",     "--owner-card",
                                      "owner.card", "--key",  "owner.key"};
        args.insert(args.end(), more.begin(), more.end());
        HD_CHECK(halfdoor(args).code == 0);
    }

  private:
    TempFolder folder_;
};

}  // namespace hd::test
