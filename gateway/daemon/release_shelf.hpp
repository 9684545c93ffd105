// Live releases: <data>/releases/<request id>/ with grant.note, headers (the new ones, as the owner
// sent them) and clips (which file is which clip). Stored atomically, erased at not-after, held
// against retention while they live. Only the thread `rpc`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/consent/grant.hpp"
#include "gateway/consent/release.hpp"
#include "gateway/daemon/hold_board.hpp"
#include "gateway/daemon/piece_source.hpp"
#include "index/base/clock.hpp"

namespace hd::daemon {

// A release's layout keeps every header in memory: about 1 kB a piece. Seven hours of one camera
// with two pieces a second.
constexpr std::size_t kMaxReleasePieces = 50'000;

struct Release {
    consent::SignedGrant grant;
    std::map<ClipId, std::string> clips;  // path relative to <data>/clips
};

// Calls `visit` for each piece that the grant names, in the order of the new headers, after all
// checks that a hub can make: range inside the window and from an IDR on, the new header has the
// original's other stanzas. Errors name clip and rule.
struct GrantedPiece {
    const OpenedClip& clip;
    const clip::PieceEntry& piece;
    const PieceHeader& original;
    ByteView new_header;
    bool first_of_clip = false;
};
Result<std::size_t> visit_granted(FileSystem& fs, const std::string& clips_folder,
                                  const Release& release, ByteView headers, TimeSpan window,
                                  const std::function<Result<void>(const GrantedPiece&)>& visit);

class ReleaseShelf {
  public:
    struct Wiring {  // Borrowed; all must outlive the shelf.
        FileSystem& fs;
        Clock& clock;
        HoldBoard& holds;
        std::string data_folder;
    };
    // Reads what is there; leftovers of interrupted work are removed.
    static Result<ReleaseShelf> open(Wiring wiring);

    // On success both files are on the disk. An earlier release of the same request is replaced.
    Result<void> store(const RequestId& id, Release release, ByteView headers);
    const Release* find(const RequestId& id) const;  // null: none, or past its not-after
    // Erases what is past its not-after. Call about once a second.
    void expire();

    struct Notes {
        std::string request, answer;
        TimeSpan window;
    };
    // Part `part` of the release file and how many there are. The layout of the release that was
    // asked last is kept.
    struct Part {
        Bytes bytes;
        std::uint64_t parts = 0;
    };
    Result<Part> read_part(const RequestId& id, const Notes& notes, std::uint64_t part);

    std::string upload_folder() const { return join(folder_, "uploads"); }

  private:
    explicit ReleaseShelf(Wiring wiring)
        : wiring_(std::move(wiring)), folder_(join(wiring_.data_folder, "releases")) {}
    std::string folder_of(const RequestId& id) const { return join(folder_, to_string(id)); }
    Result<Release> read(const std::string& folder) const;
    Result<std::unique_ptr<consent::ReleaseLayout>> lay_out(const RequestId& id,
                                                            const Release& release,
                                                            const Notes& notes) const;
    void tell_holds() const;

    Wiring wiring_;
    std::string folder_;
    std::map<RequestId, Release> live_;
    RequestId laid_out_;  // whose layout is kept
    std::unique_ptr<consent::ReleaseLayout> layout_;
    WallTime layout_used_{};
};

}  // namespace hd::daemon
