#include "gateway/daemon/release_shelf.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/log.hpp"

namespace hd::daemon {

namespace {

constexpr std::string_view kGrantFile = "grant.note";
constexpr std::string_view kHeadersFile = "headers";
constexpr std::string_view kClipsFile = "clips";
constexpr std::string_view kNew = ".new";
constexpr std::uint64_t kMaxClipsFile = 1 << 20;
// A layout that nobody asks for gives its memory back.
constexpr Micros kLayoutIdle = std::chrono::seconds(60);

std::string clips_text(const std::map<ClipId, std::string>& clips) {
    std::string out;
    for (const auto& [id, path] : clips) out += fmt::format("{} {}\n", to_string(id), path);
    return out;
}

Result<std::map<ClipId, std::string>> parse_clips(std::string_view text) {
    std::map<ClipId, std::string> out;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (line.size() < 34) return Error{ErrorCode::corrupt, "clips: a line is too short"};
        HD_ASSIGN(const auto id, parse_id<ClipId>(line.substr(0, 32), "clips"));
        const std::string path(line.substr(33));
        HD_TRY(clip::parse_clip_path(path));
        out[id] = path;
    }
    return out;
}

}  // namespace

Result<std::size_t> visit_granted(FileSystem& fs, const std::string& clips_folder,
                                  const Release& release, ByteView headers, TimeSpan window,
                                  const std::function<Result<void>(const GrantedPiece&)>& visit) {
    const consent::Grant& grant = release.grant.grant;
    HD_ASSIGN(const auto new_headers, consent::split_headers(headers, grant));
    std::size_t at = 0;
    for (const consent::PieceRange& range : grant.ranges) {
        const auto found = release.clips.find(range.clip);
        if (found == release.clips.end()) {
            return Error{ErrorCode::not_found, "ranges: clip " + to_string(range.clip) +
                                                   " is not in the window of the request"};
        }
        HD_ASSIGN(const OpenedClip clip, open_clip(fs, clips_folder, found->second));
        if (clip.reader.header().clip != range.clip ||
            clip.reader.header().camera != range.camera) {
            return Error{ErrorCode::corrupt, found->second + ": is not the clip of the grant"};
        }
        const auto identities = clip.identities();
        HD_TRY(consent::check_range(identities, range, window));
        HD_ASSIGN(const auto indices, consent::pieces_of_range(identities, range));
        bool first = true;
        for (const std::size_t index : indices) {
            if (at >= new_headers.size()) {
                return Error{ErrorCode::invalid, "headers: fewer than the ranges have pieces"};
            }
            const clip::PieceEntry& piece = clip.reader.table()[index];
            HD_ASSIGN(const PieceHeader original, read_piece_header(fs, clip, piece));
            HD_TRY(visit({clip, piece, original, new_headers[at], first}));
            first = false;
            ++at;
        }
    }
    if (at != new_headers.size()) {
        return Error{ErrorCode::invalid, "headers: more than the ranges have pieces"};
    }
    return at;
}

Result<ReleaseShelf> ReleaseShelf::open(Wiring wiring) {
    ReleaseShelf shelf(std::move(wiring));
    FileSystem& fs = shelf.wiring_.fs;
    HD_TRY(fs.make_folders(shelf.folder_, 0700));
    if (fs.exists(shelf.upload_folder())) HD_TRY(fs.remove_tree(shelf.upload_folder()));
    HD_TRY(fs.make_folders(shelf.upload_folder(), 0700));
    HD_ASSIGN(const auto entries, fs.list(shelf.folder_));
    for (const FileEntry& entry : entries) {
        const std::string path = join(shelf.folder_, entry.name);
        if (entry.name.ends_with(kNew)) {
            HD_TRY(fs.remove_tree(path));
            continue;
        }
        auto id = parse_id<RequestId>(entry.name, "release");
        if (!id) continue;
        auto release = shelf.read(path);
        if (!release) {
            log::warn("release.unreadable", "request={} error=\"{}\"", entry.name,
                      release.error().what);
            continue;
        }
        shelf.live_[*id] = std::move(*release);
    }
    shelf.expire();
    shelf.tell_holds();
    return shelf;
}

Result<Release> ReleaseShelf::read(const std::string& folder) const {
    Release release;
    HD_ASSIGN(const Bytes note, wiring_.fs.read(join(folder, kGrantFile), consent::kMaxGrantBytes));
    HD_ASSIGN(release.grant, consent::parse_grant(as_text(note)));
    HD_ASSIGN(const Bytes clips, wiring_.fs.read(join(folder, kClipsFile), kMaxClipsFile));
    HD_ASSIGN(release.clips, parse_clips(as_text(clips)));
    return release;
}

Result<void> ReleaseShelf::store(const RequestId& id, Release release, ByteView headers) {
    const std::string folder = folder_of(id);
    const std::string fresh = folder + std::string(kNew);
    if (wiring_.fs.exists(fresh)) HD_TRY(wiring_.fs.remove_tree(fresh));
    HD_TRY(wiring_.fs.make_folders(fresh, 0700));
    HD_TRY(write_file_atomic(join(fresh, kHeadersFile), headers, 0600));
    HD_TRY(write_file_atomic(join(fresh, kClipsFile), as_bytes(clips_text(release.clips)), 0600));
    HD_TRY(write_file_atomic(join(fresh, kGrantFile), as_bytes(release.grant.bytes), 0600));
    if (wiring_.fs.exists(folder)) HD_TRY(wiring_.fs.remove_tree(folder));
    HD_TRY(wiring_.fs.rename(fresh, folder));
    HD_TRY(wiring_.fs.sync_folder(folder_));
    live_[id] = std::move(release);
    if (laid_out_ == id) layout_.reset();
    tell_holds();
    return {};
}

const Release* ReleaseShelf::find(const RequestId& id) const {
    const auto found = live_.find(id);
    if (found == live_.end()) return nullptr;
    if (found->second.grant.grant.not_after <= wiring_.clock.wall()) return nullptr;
    return &found->second;
}

void ReleaseShelf::expire() {
    const WallTime now = wiring_.clock.wall();
    if (layout_ && now - layout_used_ >= kLayoutIdle) layout_.reset();
    bool changed = false;
    for (auto it = live_.begin(); it != live_.end();) {
        if (it->second.grant.grant.not_after > now) {
            ++it;
            continue;
        }
        auto removed = wiring_.fs.remove_tree(folder_of(it->first));
        if (!removed && removed.error().code != ErrorCode::not_found) {
            log::warn("release.not_erased", "error=\"{}\"", removed.error().what);
            ++it;  // Tried again; nothing of it is served meanwhile.
            continue;
        }
        if (laid_out_ == it->first) layout_.reset();
        it = live_.erase(it);
        changed = true;
    }
    if (changed) tell_holds();
}

void ReleaseShelf::tell_holds() const {
    std::set<std::string> paths;
    for (const auto& [id, release] : live_) {
        for (const auto& [clip, path] : release.clips) paths.insert(path);
    }
    wiring_.holds.set_paths(std::move(paths));
}

Result<std::unique_ptr<consent::ReleaseLayout>> ReleaseShelf::lay_out(const RequestId& id,
                                                                      const Release& release,
                                                                      const Notes& notes) const {
    HD_ASSIGN(const Bytes headers,
              wiring_.fs.read(join(folder_of(id), kHeadersFile), consent::kMaxHeadersBytes));
    auto layout =
        std::make_unique<consent::ReleaseLayout>(notes.request, notes.answer, release.grant.bytes);
    HD_TRY(visit_granted(wiring_.fs, join(wiring_.data_folder, "clips"), release, headers,
                         notes.window, [&layout](const GrantedPiece& p) -> Result<void> {
                             if (p.first_of_clip) layout->begin_clip(p.clip.reader.header_bytes());
                             const std::uint64_t header_size = p.original.age_header.size();
                             layout->add_piece(
                                 {.identity = p.original.identity_bytes,
                                  .original_header = p.original.age_header,
                                  .new_header = Bytes(p.new_header.begin(), p.new_header.end()),
                                  .recorded_sha256 = p.piece.age_sha256,
                                  .file = p.clip.path,
                                  .payload_offset = p.piece.age_offset + header_size,
                                  .payload_size = p.piece.age_size - header_size});
                             return {};
                         }));
    layout->finish();
    return layout;
}

Result<ReleaseShelf::Part> ReleaseShelf::read_part(const RequestId& id, const Notes& notes,
                                                   std::uint64_t part) {
    const Release* release = find(id);
    if (release == nullptr) return Error{ErrorCode::not_found, "request: nothing to fetch"};
    if (!layout_ || laid_out_ != id) {
        HD_ASSIGN(layout_, lay_out(id, *release, notes));
        laid_out_ = id;
    }
    layout_used_ = wiring_.clock.wall();
    HD_ASSIGN(Bytes bytes, layout_->read_part(wiring_.fs, part));
    return Part{std::move(bytes), layout_->parts()};
}

}  // namespace hd::daemon
