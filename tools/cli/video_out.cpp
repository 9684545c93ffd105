#include "tools/cli/video_out.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/consent/approval.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/exit_code.hpp"

namespace hd::cli {

Result<std::string> VideoOut::next_path() {
    ++begun_;
    std::string path = path_;
    if (begun_ > 1) {
        const auto dot = path.rfind('.');
        const auto slash = path.rfind('/');
        const bool has_end =
            dot != std::string::npos && (slash == std::string::npos || dot > slash);
        path.insert(has_end ? dot : path.size(), fmt::format("-{}", begun_));
    }
    if (!real_file_system().exists(path)) return path;
    if (!force_)
        return with_next(Error{ErrorCode::invalid, path + " exists already"},
                         "choose another name with -o, or add --force to replace it");
    HD_TRY(real_file_system().remove(path));
    return path;
}

Result<void> VideoOut::finish_current() {
    if (!current_) return {};
    const auto writer = std::move(current_);
    dropped_frames_ += writer->dropped_frames();
    const auto report = writer->finish();
    if (!report && report.error().code == ErrorCode::not_found) return {};
    if (!report) return report.error();
    HD_ASSIGN(const Digest digest, sha256_of_file(current_path_));
    done_.push_back({current_path_, report->frames, report->hidden_frames, report->dropped_frames,
                     report->shown, report->size_bytes, digest});
    return {};
}

Result<void> VideoOut::add_clip(ByteView fragmented, mux::Mp4Export::Part part) {
    if (current_) {
        const auto added = current_->add_clip(fragmented, part);
        if (added || added.error().code != ErrorCode::invalid || !current_has_clips_) {
            if (added) current_has_clips_ = true;
            return added;
        }
        // Other codec parameters: one track cannot hold both.
        HD_TRY(finish_current());
    }
    HD_ASSIGN(current_path_, next_path());
    HD_ASSIGN(current_, mux::Mp4Export::begin(current_path_));
    HD_TRY(current_->add_clip(fragmented, part));
    current_has_clips_ = true;
    return {};
}

Result<void> VideoOut::add_fragmented(ByteView fragmented, std::uint64_t frames, Micros length) {
    HD_ASSIGN(const std::string path, next_path());
    HD_TRY(write_new_file({path, 0600, false}, fragmented));
    done_.push_back({path, frames, 0, 0, length, fragmented.size(), sha256(fragmented)});
    return {};
}

Result<std::vector<VideoFile>> VideoOut::finish() {
    HD_TRY(finish_current());
    if (done_.empty())
        return Error{ErrorCode::not_found,
                     begun_ > 0 ? "nothing can be shown: no key picture in that window"
                                : "there was no video to write"};
    return std::move(done_);
}

Result<Bytes> open_piece(ByteView clip_header, const clip::PieceFile& piece,
                         std::span<const seal::Identity> identities) {
    const auto name = [&] {
        return fmt::format("piece {} ({})", piece.identity.sequence,
                           clip::to_string(piece.identity.kind));
    };
    auto parsed = seal::parse_header(piece.age_file);
    if (!parsed) return parsed.error().in(name());
    const ByteView age(piece.age_file);
    consent::PieceBundle bundle{
        piece.identity_bytes,
        Bytes(age.begin(), age.begin() + static_cast<std::ptrdiff_t>(parsed->size))};
    auto key = consent::open_piece_key(clip_header, bundle, identities);
    if (!key) return key.error().in(name());
    Bytes plain;
    const auto opened = seal::open_payload(*key, age.subspan(parsed->size), plain);
    if (!opened) return opened.error().in(name());
    return plain;
}

void print_files(Context& ctx, const std::vector<VideoFile>& files) {
    for (const VideoFile& f : files)
        ctx.out.row(
            {{"file", f.path},
             {"frames", f.frames},
             {"hidden", f.hidden_frames},
             {"dropped", f.dropped_frames},
             {"seconds", static_cast<double>(f.shown.count()) / 1e6, short_duration(f.shown)},
             {"bytes", f.size_bytes, short_bytes(f.size_bytes)},
             {"sha256", to_hex(f.sha256)}});
    ctx.out.end_list("");
}

int say_dropped(Context& ctx, const VideoOut& video) {
    if (video.dropped_frames() == 0) return kOk;
    ctx.warn(fmt::format("{} pictures are left out: the key frame that they build on is not there",
                         video.dropped_frames()));
    return kNo;
}

Result<Digest> sha256_of_file(const std::string& path) {
    constexpr std::uint64_t kChunk = 1 << 20;
    FileSystem& fs = real_file_system();
    Sha256 hash;
    for (std::uint64_t at = 0;; at += kChunk) {
        HD_ASSIGN(const Bytes bytes, fs.read_range(path, at, kChunk));
        hash.update(bytes);
        if (bytes.size() < kChunk) return hash.finish();
    }
}

}  // namespace hd::cli
