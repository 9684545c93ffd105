#include "gateway/daemon/walls.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hd::daemon {

namespace {

Wall folder_wall(std::string name, const std::string& path) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) return {std::move(name), "missing", "no such folder"};
    if ((facts.st_mode & 077) == 0) {
        return {std::move(name), "enforced", "only its owner may enter"};
    }
    return {std::move(name), (facts.st_mode & 07) == 0 ? "partial" : "missing",
            fmt::format("mode {:04o}: others than its owner may enter; chmod 0700 {}",
                        facts.st_mode & 07777, path)};
}

}  // namespace

std::vector<Wall> look_at_walls(const std::string& data_folder, const std::string& runtime_folder) {
    std::vector<Wall> out;
    out.push_back({"process.per_camera", "enforced", "one recorder process for each camera"});
    out.push_back(
        {"process.requester", "enforced", "strangers talk to halfdoor-gate, which holds no clip"});
    out.push_back(folder_wall("folder.data", data_folder));
    out.push_back(folder_wall("folder.runtime", runtime_folder));
    out.push_back(::geteuid() == 0
                      ? Wall{"daemon.user", "missing", "halfdoord runs as root"}
                      : Wall{"daemon.user", "enforced", "halfdoord runs as an ordinary user"});
    // Recorders and gate are started by us and get our user: what one of them can read, all can.
    out.push_back({"recorder.user", "missing", "recorders run as the daemon's user"});
    out.push_back({"gate.user", "missing", "the gate runs as the daemon's user"});
    const bool no_new = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    out.push_back({"no_new_privileges", no_new ? "enforced" : "missing",
                   no_new ? "no program of the hub can gain rights"
                          : "start halfdoord with its systemd unit (NoNewPrivileges)"});
    out.push_back({"recorder.landlock", "missing",
                   "a recorder can read what its user can read; not built yet"});
    out.push_back({"recorder.seccomp", "missing", "not built yet"});
    return out;
}

}  // namespace hd::daemon
