#include "gateway/daemon/journal_keeper.hpp"

#include <type_traits>

namespace hd::daemon {

using journal::CameraRecord;

Result<JournalKeeper> JournalKeeper::open(FileSystem& fs, std::string path, CameraId camera) {
    HD_TRY(fs.make_folders(parent_folder(path), 0700));
    HD_ASSIGN(auto writer, journal::Writer::open(fs, path, "camera"));
    JournalKeeper keeper(fs, std::move(path), camera, std::move(writer));
    HD_TRY(keeper.catch_up());
    return keeper;
}

Result<void> JournalKeeper::catch_up() {
    HD_ASSIGN(const auto report,
              journal::read(*fs_, path_, "camera", read_until_,
                            [this](const journal::Record& record, std::uint64_t) {
                                auto decoded = journal::decode_camera_record(record);
                                // A record of a later version is somebody else's to understand.
                                if (decoded) take(*decoded);
                            }));
    if (report.whole_until > read_until_) read_until_ = report.whole_until;
    return {};
}

void JournalKeeper::take(const CameraRecord& record) {
    std::visit(
        [this](const auto& r) {
            using T = std::decay_t<decltype(r)>;
            last_stamp_ = r.when;
            if constexpr (std::is_same_v<T, journal::Configured>) {
                name_ = r.name;
                disabled_ = false;
            } else if constexpr (std::is_same_v<T, journal::Disabled>) {
                disabled_ = true;
            } else if constexpr (std::is_same_v<T, journal::GapBegan>) {
                gap_open_ = true;
            } else if constexpr (std::is_same_v<T, journal::GapEnded>) {
                gap_open_ = false;
            }
        },
        record);
}

Result<void> JournalKeeper::write(const CameraRecord& record) {
    HD_TRY(writer_.append(journal::encode(record)));
    HD_TRY(writer_.sync());
    // Read it back with the rest: what counts is what the file says.
    return catch_up();
}

Result<void> JournalKeeper::configured(const journal::Stamp& when, const std::string& name) {
    HD_TRY(catch_up());
    if (!disabled_ && name_ == name && !name.empty()) return {};
    return write(journal::Configured{.when = when, .camera = camera_, .name = name});
}

Result<void> JournalKeeper::disabled(const journal::Stamp& when) {
    HD_TRY(catch_up());
    if (disabled_ || name_.empty()) return {};
    HD_TRY(write(journal::Disabled{.when = when}));
    return gap_began(when, journal::GapCause::disabled, "disabled by the owner");
}

Result<void> JournalKeeper::gap_began(const journal::Stamp& when, journal::GapCause cause,
                                      std::string detail) {
    HD_TRY(catch_up());
    if (gap_open_) return {};
    return write(journal::GapBegan{.when = when, .cause = cause, .detail = std::move(detail)});
}

}  // namespace hd::daemon
