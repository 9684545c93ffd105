// What a recorder gives up, in two steps: at once what no recorder needs, and, when its settings
// say which camera it is for, everything but that camera's files, ports and devices. Afterwards
// settings that need more need another process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/syscall_filter.hpp"
#include "index/base/walls.hpp"
#include "pipelines/link/settings.hpp"
#include "pipelines/record/dialer_process.hpp"

namespace hd::record {

// Of the folders that a recorder makes. The umask says who.
constexpr unsigned kFolderMode = 0770;

// What the settings need. Equal rights: the same confinement fits both.
struct Rights {
    FileRights files;
    PortRights ports;
    SyscallRights calls;
    bool host_by_name = false;  // the resolver needs UDP and TCP to port 53
};
// dialled: its connections come from a dialer. own: there is none.
enum class Network { own, dialled };
Rights rights_of(const link::RecorderSettings& settings, Network network = Network::own);
// Where a dialer would connect. Nothing: these settings name no host.
std::optional<ingest::DialTarget> dial_target(const link::RecorderSettings& settings);

// What the resolver of host names and what it loads may read.
std::vector<std::string> resolver_files();

// True if what was confined for `before` cannot do what `after` asks for, or could do too much.
bool needs_new_process(const link::RecorderSettings& before, const link::RecorderSettings& after);

// Which folder on which file system the camera's clips are in. Landlock holds on to that one, not
// to its name. Nothing if there is none.
struct FolderIdentity {
    std::uint64_t device = 0, file = 0;
    bool operator==(const FolderIdentity&) const = default;
};
std::optional<FolderIdentity> folder_identity(const link::RecorderSettings& settings);

// First thing in main(): memory shut, no new privileges, no inherited files. Capabilities go with
// the rest: the empty network may take one.
std::vector<Wall> leave_privileges();

// Makes the camera's folder and journal file, loads what is loaded by starting programs, then
// shuts the rest. One thread only, before the first byte of a camera. Fails if the folder or file
// cannot be made (nothing is given up then); walls that cannot be built are only reported.
// The dialer is aimed at the camera; one that is slow, gone, or has no host to connect to is
// dismissed, and the recorder connects by itself.
Result<std::vector<Wall>> confine(const link::RecorderSettings& settings, DialerProcess& dialer);

}  // namespace hd::record
