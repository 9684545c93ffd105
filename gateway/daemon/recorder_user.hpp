// The user that recorders run as, if the hub can give them one of their own, and the doors that
// this user needs in the data folder: the way to its cameras' clips, journals and to the link
// socket. Everything else stays the daemon's alone. docs/operations.md has the modes.
#pragma once

#include <optional>
#include <string>

#include "gateway/daemon/child.hpp"
#include "index/base/ids.hpp"
#include "index/base/walls.hpp"

namespace hd::daemon {

constexpr std::string_view kRecorderUser = "halfdoor-recorder";

struct RecorderPlaces {
    std::string data_folder, runtime_folder;
};

// `name` of the configuration; empty: halfdoor-recorder if this system has it. Nothing if recorders
// run as our own user: no such user by that name, or we may not change users. Fails if the
// configuration names a user and that one cannot be used.
Result<std::optional<ChildUser>> find_recorder_user(const std::string& name);

// The user's group may pass (not list) the data and runtime folders.
Result<void> open_doors(const RecorderPlaces& places, const ChildUser& user);

// The link socket is the group's to talk to.
Result<void> share_socket(const std::string& path, const ChildUser& user);

// One camera's clips folder, journal and lock are the group's to write; made if they are not there.
Result<void> open_camera_room(const RecorderPlaces& places, const ChildUser& user,
                              const CameraId& camera);

}  // namespace hd::daemon
