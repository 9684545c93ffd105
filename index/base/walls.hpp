// What a program gives up before strangers' bytes reach it, and what stands of it: nothing here
// fails loudly, because a wall that this kernel does not have must not stop a recording. Each
// function says what it really did; `halfdoor status` shows it. Linux only. Call them while the
// process has one thread: Landlock binds the calling thread and what it starts later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hd {

enum class WallState : std::uint8_t { enforced = 0, partial = 1, missing = 2 };
std::string_view to_string(WallState s);

// One wall by its name in `status` ("recorder.files"), how much of it stands, and why.
struct Wall {
    std::string name;
    WallState state = WallState::missing;
    std::string detail;
    bool operator==(const Wall&) const = default;
};

// No core file; no other program of this user can look into the memory.
Wall shut_memory();

// No program that is started from here on can gain rights.
Wall forbid_new_privileges();

// No capability is left, and none can come back. For root: its files stay its own, nothing else.
Wall drop_capabilities();

// Whether this process may do what capability `number` of <linux/capability.h> allows.
bool has_capability(int number);

// A network name space with nothing in it, not even the loopback: for a process that is given its
// connections. With it may come all capabilities over that name space: drop_capabilities() follows.
Wall enter_empty_network();

// Everything above standard error that the parent left open.
void close_inherited_files();

// Memory that is written to (heap, stacks) ends there; what asks for more gets none, and ends.
Wall limit_memory(std::uint64_t bytes);

// What Landlock leaves open. Files and folders that do not exist are left out.
struct FileRights {
    std::vector<std::string> read;     // files; of folders everything below, as far as modes allow
    std::vector<std::string> list;     // folders whose names may be listed and which may be synced
    std::vector<std::string> write;    // single files: read, write, cut
    std::vector<std::string> change;   // folders: everything with files and folders below
    std::vector<std::string> devices;  // read, write, ioctl; of folders everything below
};
struct PortRights {
    std::vector<std::uint16_t> connect;  // TCP ports of any host
    std::vector<std::uint16_t> listen;
};

// The Landlock ABI of this kernel, 0 without.
int landlock_abi();

struct LandlockWalls {
    Wall files, ports, signals;
};
LandlockWalls restrict_files_and_ports(const FileRights& files, const PortRights& ports);

}  // namespace hd
