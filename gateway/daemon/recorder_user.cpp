#include "gateway/daemon/recorder_user.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hd::daemon {

namespace {

constexpr mode_t kPass = 0710;  // the group may go through
constexpr mode_t kSharedFolder = 0770;
constexpr mode_t kSharedFile = 0660;

// Nothing to do is no write: on a read-only disk a hub that was set up before goes on.
Result<void> share(const std::string& path, const ChildUser& user, mode_t mode) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) return errno_error(errno, "look at " + path);
    if (facts.st_gid != user.gid && ::chown(path.c_str(), static_cast<uid_t>(-1), user.gid) != 0)
        return errno_error(errno, fmt::format("give {} to group {}", path, user.gid));
    if ((facts.st_mode & 07777) != mode && ::chmod(path.c_str(), mode) != 0)
        return errno_error(errno, "change mode of " + path);
    return {};
}

Result<void> make_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kSharedFile));
    if (!fd) return errno_error(errno, "make " + path);
    return {};
}

bool member_of(gid_t group) {
    if (::getegid() == group) return true;
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    for (int i = 0; i < count; ++i)
        if (groups[static_cast<std::size_t>(i)] == group) return true;
    return false;
}

std::vector<gid_t> groups_of(const passwd& entry) {
    std::vector<gid_t> groups(64);
    int count = static_cast<int>(groups.size());
    if (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0)
        return {entry.pw_gid};
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

}  // namespace

Result<std::optional<ChildUser>> find_recorder_user(const std::string& name) {
    const std::string wanted = name.empty() ? std::string(kRecorderUser) : name;
    const passwd* entry = ::getpwnam(wanted.c_str());  // At start: no other thread yet.
    const auto cannot = [&](std::string why) -> Result<std::optional<ChildUser>> {
        if (name.empty()) return std::optional<ChildUser>();
        return Error{ErrorCode::invalid, fmt::format("recorder_user {}: {}", wanted, why)};
    };
    if (entry == nullptr) return cannot("no such user");
    if (entry->pw_uid == ::geteuid()) return std::optional<ChildUser>();
    if (!has_capability(CAP_SETUID) || !has_capability(CAP_KILL))
        return cannot(
            "halfdoord may not start programs as another user and end them; start it "
            "with its systemd unit (CAP_SETUID, CAP_KILL)");
    const bool any_group = has_capability(CAP_SETGID) && has_capability(CAP_CHOWN);
    if (!any_group && !member_of(entry->pw_gid))
        return cannot(fmt::format("its group {} is not among halfdoord's", entry->pw_gid));
    ChildUser user{.uid = entry->pw_uid, .gid = entry->pw_gid, .groups = {}};
    if (any_group) user.groups = groups_of(*entry);
    return std::optional<ChildUser>(std::move(user));
}

Result<void> open_doors(const RecorderPlaces& places, const ChildUser& user) {
    FileSystem& fs = real_file_system();
    for (const char* room : {"clips", "journal", "cache"})
        HD_TRY(fs.make_folders(join(places.data_folder, room), 0700));
    for (const std::string& folder :
         {places.data_folder, places.runtime_folder, join(places.data_folder, "clips"),
          join(places.data_folder, "journal")})
        HD_TRY(share(folder, user, folder.ends_with("/journal") ? 0750 : kPass));
    // The list of GStreamer's plugins, which recorders make for themselves.
    return share(join(places.data_folder, "cache"), user, kSharedFolder);
}

Result<void> share_socket(const std::string& path, const ChildUser& user) {
    return share(path, user, kSharedFile);
}

Result<void> open_camera_room(const RecorderPlaces& places, const ChildUser& user,
                              const CameraId& camera) {
    FileSystem& fs = real_file_system();
    const std::string id = to_string(camera);
    const std::string clips = join(places.data_folder, "clips/" + id);
    HD_TRY(fs.make_folders(clips, 0700));
    HD_TRY(share(clips, user, kSharedFolder));
    HD_ASSIGN(const auto days, fs.list(clips));
    for (const FileEntry& day : days)
        if (day.is_folder) HD_TRY(share(join(clips, day.name), user, kSharedFolder));
    for (const std::string& file : {join(places.data_folder, "journal/" + id + ".log"),
                                    join(places.runtime_folder, "recorder-" + id + ".lock")}) {
        HD_TRY(make_file(file));
        HD_TRY(share(file, user, kSharedFile));
    }
    return {};
}

}  // namespace hd::daemon
