// Age headers and identities of a clip's pieces, read from its file: what `headers` shows, what a
// grant is checked against, what a release is made of.
#pragma once

#include "index/clip/clip_reader.hpp"
#include "index/seal/age_header.hpp"

namespace hd::daemon {

// A clip file with its path relative to <data>/clips. Finished files and unfinished ones.
struct OpenedClip {
    std::string relative_path;
    std::string path;
    clip::ClipReader reader;

    std::vector<clip::PieceIdentity> identities() const;
};
// not_found: neither the clip nor its ".part" is there.
Result<OpenedClip> open_clip(FileSystem& fs, const std::string& clips_folder,
                             const std::string& relative_path);

struct PieceHeader {
    Bytes identity_bytes;
    Bytes age_header;  // of the original age file
};
// Two small reads; the payload is not read.
Result<PieceHeader> read_piece_header(FileSystem& fs, const OpenedClip& clip,
                                      const clip::PieceEntry& piece);

}  // namespace hd::daemon
