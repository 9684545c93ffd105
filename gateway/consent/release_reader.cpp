#include <array>
#include <optional>

#include <fmt/format.h>

#include "gateway/consent/release_check.hpp"
#include "gateway/consent/release_format.hpp"

namespace hd::consent {
namespace {

Error corrupt(std::string rule) { return {ErrorCode::corrupt, "release: " + std::move(rule)}; }

// Reads one record from what has arrived so far. `short_of` is set if more bytes are needed.
class RecordReader {
  public:
    explicit RecordReader(ByteView in) : in_(in) {}

    std::uint64_t number(std::size_t bytes) {
        const ByteView raw = take(bytes);
        std::uint64_t out = 0;
        for (std::size_t i = raw.size(); i-- > 0;) out = out << 8 | raw[i];
        return out;
    }
    ByteView take(std::uint64_t size) {
        if (short_ || too_large_ || size > in_.size() - at_) {
            short_ = true;
            return {};
        }
        at_ += static_cast<std::size_t>(size);
        return in_.subspan(at_ - static_cast<std::size_t>(size), static_cast<std::size_t>(size));
    }
    ByteView field(std::uint64_t limit) { return sized(number(4), limit); }
    ByteView sized(std::uint64_t size, std::uint64_t limit) {
        if (!short_ && size > limit) too_large_ = true;
        return take(size);
    }

    bool too_large() const { return too_large_; }
    bool incomplete() const { return short_; }
    std::size_t at() const { return at_; }

  private:
    ByteView in_;
    std::size_t at_ = 0;
    bool short_ = false, too_large_ = false;
};

}  // namespace

struct ReleaseReader::State {
    State(ReleaseTrust trust, OnNotes notes, OnPiece piece)
        : checker(std::move(trust)), on_notes(std::move(notes)), on_piece(std::move(piece)) {}

    // One record, if it is whole: how many bytes it took, 0 if more must come first.
    Result<std::size_t> step(ByteView in);
    Result<void> notes(RecordReader& in);
    Result<void> piece(RecordReader& in);

    ReleaseChecker checker;
    OnNotes on_notes;
    OnPiece on_piece;
    Bytes buffer;
    bool magic_seen = false;
    std::optional<ReleaseSummary> done;
    std::optional<Error> failed;
};

Result<void> ReleaseReader::State::notes(RecordReader& in) {
    const ByteView request = in.field(kMaxRequestBytes);
    const ByteView answer = in.field(kAnswerBytes);
    const ByteView grant = in.field(kMaxGrantBytes);
    if (in.incomplete()) return {};
    HD_TRY(checker.notes(as_text(request), as_text(answer), as_text(grant)));
    if (on_notes) HD_TRY(on_notes(as_text(request), as_text(answer), as_text(grant)));
    return {};
}

Result<void> ReleaseReader::State::piece(RecordReader& in) {
    ReceivedPiece piece;
    piece.identity = in.field(clip::kMaxIdentityBytes);
    piece.original_header = in.field(seal::kMaxAgeHeaderBytes);
    piece.new_header = in.field(seal::kMaxAgeHeaderBytes);
    const ByteView digest = in.take(32);
    piece.payload = in.sized(in.number(8), clip::kMaxPieceBytes);
    if (in.incomplete()) return {};
    std::copy(digest.begin(), digest.end(), piece.recorded_sha256.begin());
    HD_ASSIGN(const VerifiedPiece verified, checker.piece(piece));
    if (on_piece) HD_TRY(on_piece(verified));
    return {};
}

Result<std::size_t> ReleaseReader::State::step(ByteView in) {
    RecordReader reader(in);
    if (!magic_seen) {
        const ByteView magic = reader.take(kReleaseMagic.size());
        if (reader.incomplete()) return std::size_t{0};
        if (as_text(magic) != kReleaseMagic) return corrupt("does not begin as a release file");
        magic_seen = true;
        return reader.at();
    }
    const auto type = static_cast<std::uint8_t>(reader.number(1));
    if (reader.incomplete()) return std::size_t{0};
    if (type == kNotesRecord) {
        HD_TRY(notes(reader));
    } else if (type == kClipRecord) {
        const ByteView header = reader.field(clip::kMaxHeaderBytes);
        if (!reader.incomplete()) HD_TRY(checker.clip(header));
    } else if (type == kPieceRecord) {
        HD_TRY(piece(reader));
    } else if (type == kEndRecord) {
        const auto pieces = static_cast<std::uint32_t>(reader.number(4));
        if (!reader.incomplete()) {
            HD_ASSIGN(auto summary, checker.finish(pieces));
            done = std::move(summary);
        }
    } else {
        return corrupt(fmt::format("unknown record type {}", type));
    }
    if (reader.too_large()) return corrupt("a field is larger than its limit");
    return reader.incomplete() ? std::size_t{0} : reader.at();
}

ReleaseReader::ReleaseReader(ReleaseTrust trust, OnNotes on_notes, OnPiece on_piece)
    : state_(std::make_unique<State>(std::move(trust), std::move(on_notes), std::move(on_piece))) {}
ReleaseReader::~ReleaseReader() = default;
ReleaseReader::ReleaseReader(ReleaseReader&&) noexcept = default;

Result<void> ReleaseReader::feed(ByteView bytes) {
    State& s = *state_;
    if (s.failed) return *s.failed;
    s.buffer.insert(s.buffer.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (at < s.buffer.size()) {
        auto taken = s.done ? Result<std::size_t>(corrupt("bytes after its end"))
                            : s.step(ByteView(s.buffer).subspan(at));
        if (!taken) {
            s.failed = taken.error();
            return *s.failed;
        }
        if (*taken == 0) break;
        at += *taken;
    }
    s.buffer.erase(s.buffer.begin(), s.buffer.begin() + static_cast<std::ptrdiff_t>(at));
    return {};
}

Result<ReleaseSummary> ReleaseReader::finish() {
    State& s = *state_;
    if (s.failed) return *s.failed;
    if (!s.done) return corrupt("ends before its end record");
    return std::move(*s.done);
}

}  // namespace hd::consent
