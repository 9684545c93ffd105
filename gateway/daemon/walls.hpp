// Which walls between the programs stand on this machine, said honestly: enforced, partial, or
// missing. For `status`.
#pragma once

#include <string>
#include <vector>

#include "gateway/daemon/status_board.hpp"

namespace hd::daemon {

std::vector<Wall> look_at_walls(const std::string& data_folder, const std::string& runtime_folder);

}  // namespace hd::daemon
