// Which walls between the programs stand on this machine, said honestly: enforced, partial, or
// missing. For `status`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gateway/daemon/child.hpp"
#include "gateway/daemon/status_board.hpp"

namespace hd::daemon {

// What can be seen from here and does not change while the daemon runs.
std::vector<Wall> look_at_walls(const std::string& data_folder, const std::string& runtime_folder,
                                const std::optional<ChildUser>& recorder_user);

// Whether another program of the hub has a user of its own. `uid` by the kernel's word.
Wall user_wall(std::string name, std::uint32_t uid);

// What the kernel says of the running gate. It shuts its files and ports before it filters its
// system calls, so the filter stands for both where the kernel has Landlock.
std::vector<Wall> gate_walls(pid_t pid);

// What the running recorders report of themselves, one wall for all: the weakest one's.
std::vector<Wall> recorder_walls(const std::map<CameraId, CameraStatus>& cameras);

}  // namespace hd::daemon
