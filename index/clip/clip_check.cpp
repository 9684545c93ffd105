#include "index/clip/clip_check.hpp"

#include <fmt/format.h>

#include "index/clip/clip_reader.hpp"

namespace hd::clip {
namespace {

class Checker {
  public:
    Checker(FileSystem& fs, const std::string& path) : fs_(fs), path_(path) {}

    ClipCheck run(CheckLevel level) {
        auto size = fs_.size(path_);
        if (!size) {
            problem(0, size.error().what);
            return std::move(out_);
        }
        out_.present = true;
        out_.size_bytes = *size;
        if (level == CheckLevel::presence) return std::move(out_);
        if (level == CheckLevel::hash)
            check_everything();
        else
            check_end();
        return std::move(out_);
    }

  private:
    void problem(std::uint64_t at_byte, std::string_view rule) {
        if (out_.problems.size() < kMaxProblems)
            out_.problems.push_back({at_byte, std::string(rule)});
    }

    bool unfinished() const { return path_.ends_with(".part"); }

    void check_end() {
        auto summary = read_summary(fs_, path_);
        if (!summary) {
            if (!unfinished()) problem(out_.size_bytes, summary.error().what);
            return;
        }
        out_.finished = true;
        out_.pieces = summary->pieces;
        check_length(*summary);
    }

    void check_length(const ClipSummary& summary) {
        if (summary.boot_end - summary.boot_begin > kMaxClipLength)
            problem(out_.size_bytes, "clip spans more than 120 s, so queries may miss it");
    }

    void check_everything() {
        auto walked = walk(fs_, path_, WalkDepth::hashes);
        if (!walked) {
            problem(0, walked.error().what);
            return;
        }
        out_.pieces = static_cast<std::uint32_t>(walked->table.size());
        check_gaps(*walked);
        auto footer = read_footer(fs_, path_);
        if (!footer) {
            if (!unfinished())
                problem(walked->whole_until, footer.error().what);
            else if (walked->left_bytes > 0)
                problem(walked->whole_until,
                        fmt::format("torn tail of {} bytes", walked->left_bytes));
            return;
        }
        out_.finished = true;
        check_length(footer->summary);
        check_table(*walked, *footer);
    }

    // Names the first byte of each stretch that is in no whole piece.
    void check_gaps(const Walk& walked) {
        std::uint64_t expected = walked.header.bytes.size();
        for (const PieceEntry& e : walked.table) {
            if (e.offset != expected) problem(expected, explain(expected, e.offset - expected));
            expected = e.age_offset + e.age_size;
        }
    }

    std::string explain(std::uint64_t at, std::uint64_t bytes) {
        std::string why = "no piece head";
        if (auto read = fs_.read_range(path_, at, 64 + kMaxIdentityBytes); read) {
            std::size_t size = 0;
            auto head = decode_piece_head(*read, size);
            why = head ? fmt::format("age file of piece {} does not have its SHA-256",
                                     head->identity.sequence)
                       : head.error().what;
        }
        return fmt::format("{} bytes are in no whole piece: {}", bytes, why);
    }

    void check_table(const Walk& walked, const Footer& footer) {
        const ClipHeader& header = walked.header.header;
        const ClipSummary& s = footer.summary;
        if (s.clip != header.clip || s.camera != header.camera || s.run != header.run ||
            s.boot != header.boot)
            problem(footer.offset, "header and summary name different clips");
        std::size_t next = 0;
        for (const PieceEntry& e : footer.table) {
            while (next < walked.table.size() && walked.table[next].offset < e.offset) ++next;
            const bool found = next < walked.table.size() &&
                               walked.table[next].offset == e.offset &&
                               walked.table[next].age_sha256 == e.age_sha256 &&
                               walked.table[next].identity == e.identity;
            if (!found) problem(e.offset, explain(e.offset, e.age_offset + e.age_size - e.offset));
        }
        if (walked.table.size() > footer.table.size())
            problem(footer.offset, "the table lacks pieces that are in the file");
        const std::uint64_t end =
            walked.table.empty() ? walked.header.bytes.size() : walked.whole_until;
        if (footer.offset > end && !footer.table.empty() &&
            footer.table.back().age_offset + footer.table.back().age_size < footer.offset)
            problem(end, "bytes between the last piece and the footer");
    }

    FileSystem& fs_;
    const std::string& path_;
    ClipCheck out_;
};

}  // namespace

ClipCheck check_clip(FileSystem& fs, const std::string& path, CheckLevel level) {
    return Checker(fs, path).run(level);
}

}  // namespace hd::clip
