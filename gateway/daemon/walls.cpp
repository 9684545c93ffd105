#include "gateway/daemon/walls.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::daemon {

namespace {

Wall folder_wall(std::string name, const std::string& path, const std::optional<ChildUser>& user) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0)
        return {std::move(name), WallState::missing, "no such folder"};
    if ((facts.st_mode & 077) == 0)
        return {std::move(name), WallState::enforced, "only its owner may enter"};
    if (user && facts.st_gid == user->gid && (facts.st_mode & 077) == 010)
        return {std::move(name), WallState::enforced,
                "its owner may enter, recorders pass through"};
    return {std::move(name), (facts.st_mode & 07) == 0 ? WallState::partial : WallState::missing,
            fmt::format("mode {:04o}: others than its owner may enter; chmod 0700 {}",
                        facts.st_mode & 07777, path)};
}

}  // namespace

std::vector<Wall> look_at_walls(const std::string& data_folder, const std::string& runtime_folder,
                                const std::optional<ChildUser>& recorder_user) {
    std::vector<Wall> out;
    out.push_back(
        {"process.per_camera", WallState::enforced, "one recorder process for each camera"});
    out.push_back({"process.requester", WallState::enforced,
                   "strangers talk to halfdoor-gate, which holds no clip"});
    out.push_back(folder_wall("folder.data", data_folder, recorder_user));
    out.push_back(folder_wall("folder.runtime", runtime_folder, recorder_user));
    out.push_back(
        ::geteuid() == 0
            ? Wall{"daemon.user", WallState::missing, "halfdoord runs as root"}
            : Wall{"daemon.user", WallState::enforced, "halfdoord runs as an ordinary user"});
    const bool no_new = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    out.push_back({"no_new_privileges", no_new ? WallState::enforced : WallState::missing,
                   no_new ? "no program of the hub can gain rights" : "the kernel refused"});
    return out;
}

Wall user_wall(std::string name, std::uint32_t uid) {
    if (uid == ::geteuid())
        return {std::move(name), WallState::missing, "runs as the daemon's user"};
    return {std::move(name), WallState::enforced, fmt::format("runs as user {}", uid)};
}

std::vector<Wall> gate_walls(pid_t pid) {
    const auto bytes = real_file_system().read(fmt::format("/proc/{}/status", pid), 65536);
    if (!bytes) return {};
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    const auto fact = [&](std::string_view name) -> std::string_view {
        const auto at = text.find(fmt::format("\n{}:\t", name));
        if (at == std::string_view::npos) return {};
        const auto begin = at + name.size() + 3;
        return text.substr(begin, text.find_first_of("\t\n", begin) - begin);
    };
    const bool filtered = fact("Seccomp") == "2";
    const bool bare = fact("CapPrm").find_first_not_of('0') == std::string_view::npos;
    const int abi = landlock_abi();
    const auto state = [](bool stands) {
        return stands ? WallState::enforced : WallState::missing;
    };
    return {user_wall("gate.user", static_cast<std::uint32_t>(std::strtoul(
                                       std::string(fact("Uid")).c_str(), nullptr, 10))),
            {"gate.capabilities", state(bare), bare ? "none" : "it kept some"},
            {"gate.system_calls", state(filtered),
             filtered ? "seccomp: a list; no program can be started" : "no seccomp filter"},
            {"gate.files", state(filtered && abi > 0),
             abi > 0 ? fmt::format("opens no file of the hub (Landlock ABI {})", abi)
                     : "this kernel has no Landlock, or it is not switched on (lsm=)"},
            {"gate.ports", state(filtered && abi >= 4),
             abi >= 4 ? "listens on its port, connects to none (Landlock)"
                      : "Landlock of this kernel knows no ports: kernel 6.7 does"}};
}

std::vector<Wall> recorder_walls(const std::map<CameraId, CameraStatus>& cameras) {
    std::vector<Wall> out;
    for (const auto& [id, camera] : cameras) {
        for (const Wall& wall : camera.walls) {
            const auto seen = std::ranges::find(out, wall.name, &Wall::name);
            if (seen == out.end()) {
                out.push_back(wall);
            } else if (wall.state > seen->state) {
                // The weakest recorder speaks for all.
                *seen = {wall.name, wall.state, fmt::format("{}: {}", camera.name, wall.detail)};
            }
        }
    }
    return out;
}

}  // namespace hd::daemon
