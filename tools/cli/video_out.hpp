// Opened video on its way into files: the only plain video that Halfdoor ever writes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index/clip/clip_reader.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/mp4_export.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

struct VideoFile {
    std::string path;
    std::uint64_t frames = 0;
    std::uint64_t hidden_frames = 0;   // of them, before what is shown
    std::uint64_t dropped_frames = 0;  // not in it: nothing to decode them from
    Micros shown{0};
    std::uint64_t size_bytes = 0;
    Digest sha256{};
};

// One MP4, or several where the codec parameters change: out.mp4, out-2.mp4 ... Files are 0600.
class VideoOut {
  public:
    // `force` replaces existing files; without it an existing one is invalid.
    VideoOut(std::string path, bool force) : path_(std::move(path)), force_(force) {}
    Result<void> add_clip(ByteView fragmented, mux::Mp4Export::Part part);
    // What is added from here on goes into another file.
    Result<void> begin_another() { return finish_current(); }
    // Writes what add_clip would get, unchanged: `age -d` of each piece, concatenated.
    Result<void> add_fragmented(ByteView fragmented, std::uint64_t frames, Micros length);
    // not_found if nothing was added that can be shown.
    Result<std::vector<VideoFile>> finish();
    // Of all files, also of those that were not written because nothing in them can be shown.
    std::uint64_t dropped_frames() const { return dropped_frames_; }

  private:
    Result<std::string> next_path();
    Result<void> finish_current();

    std::string path_;
    bool force_;
    std::unique_ptr<mux::Mp4Export> current_;
    std::string current_path_;
    bool current_has_clips_ = false;
    std::size_t begun_ = 0;
    std::vector<VideoFile> done_;
    std::uint64_t dropped_frames_ = 0;
};

// The plain bytes of one sealed piece. refused: the stanza does not bind this clip header and this
// identity (named in the error), or no key fits; corrupt: MAC, hash or payload.
Result<Bytes> open_piece(ByteView clip_header, const clip::PieceFile& piece,
                         std::span<const seal::Identity> identities);

void print_files(Context& ctx, const std::vector<VideoFile>& files);
// The exit code of who wrote them: kNo, and words, if pictures had to be left out.
int say_dropped(Context& ctx, const VideoOut& video);

Result<Digest> sha256_of_file(const std::string& path);

}  // namespace hd::cli
