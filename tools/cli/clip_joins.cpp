#include "tools/cli/clip_joins.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace hd::cli {
namespace {

std::string day_of(WallTime t) { return to_rfc3339(t).substr(0, 10); }

bool is_day(const std::string& name) {
    constexpr std::string_view kForm = "0000-00-00";
    return name.size() == kForm.size() &&
           std::equal(name.begin(), name.end(), kForm.begin(), [](char c, char form) {
               return form == '0' ? c >= '0' && c <= '9' : c == form;
           });
}

std::vector<std::string> folders_to_search(FileSystem& fs, const std::string& file,
                                           const ClipPlace& place, Micros distance) {
    const std::filesystem::path own = std::filesystem::absolute(file).parent_path();
    std::vector<std::string> out{own.string()};
    const std::string day = own.filename().string();
    if (!is_day(day)) return out;
    const std::string first = day_of(place.utc_zero - distance - clip::kMaxClipLength);
    const auto days = fs.list(own.parent_path().string());
    if (!days) return out;
    for (const FileEntry& e : *days)
        if (e.is_folder && is_day(e.name) && e.name >= first && e.name < day)
            out.push_back((own.parent_path() / e.name).string());
    return out;
}

struct Candidate {
    std::string file;
    ClipPlace place;
};

// Clips of the same run that begin before `place`, and not longer ago than its key frame allows.
std::vector<Candidate> candidates(FileSystem& fs, const std::string& file, const ClipPlace& place,
                                  Micros distance) {
    // A clip that was given another name is found by what is in it.
    const std::string run = fmt::format("-{}.clip", to_string(place.run));
    const bool named = std::filesystem::path(file).filename().string().ends_with(run);
    std::vector<Candidate> out;
    for (const std::string& folder : folders_to_search(fs, file, place, distance)) {
        const auto entries = fs.list(folder);
        if (!entries) continue;
        for (const FileEntry& e : *entries) {
            if (e.is_folder || !e.name.ends_with(named ? run : ".clip")) continue;
            const std::string path = join(folder, e.name);
            const auto header = clip::read_header(fs, path);
            if (!header) continue;
            const clip::ClipHeader& h = header->header;
            if (h.camera != place.camera || h.run != place.run || h.boot != place.boot ||
                h.boot_begin >= place.zero ||
                h.boot_begin < place.zero - distance - clip::kMaxClipLength)
                continue;
            if (const auto reader = clip::ClipReader::open(fs, path))
                out.push_back({path, place_of(*reader)});
        }
    }
    std::ranges::sort(out, {}, [](const Candidate& c) { return c.place.zero; });
    return out;
}

}  // namespace

ClipPlace place_of(const clip::ClipReader& reader) {
    const clip::ClipHeader& h = reader.header();
    ClipPlace out{.clip = h.clip,
                  .camera = h.camera,
                  .run = h.run,
                  .boot = h.boot,
                  .zero = h.boot_begin,
                  .begin = h.boot_begin,
                  .end = h.boot_begin,
                  .utc_zero = h.utc_begin,
                  .keyed = true,
                  .key = clip::key_distance(h.extensions)};
    bool first = true;
    for (const clip::PieceEntry& e : reader.table()) {
        if (e.identity.kind != clip::PieceKind::video) continue;
        if (first) out.keyed = e.identity.start != clip::PieceStart::none;
        first = false;
        out.begin = std::min(out.begin, e.identity.boot_begin);
        out.end = std::max(out.end, e.identity.boot_end);
    }
    return out;
}

bool goes_on(const ClipPlace& before, const ClipPlace& next) {
    return before.camera == next.camera && before.run == next.run && before.boot == next.boot &&
           before.zero < next.zero && next.begin - before.end <= kLongestBreak;
}

ClipsBefore clips_before(FileSystem& fs, const std::string& file, const ClipPlace& place) {
    if (!place.key) return {{}, "it does not say which clip holds the key frame before it"};
    const auto found = candidates(fs, file, place, place.key->distance);
    const std::string wanted = fmt::format(
        "clip {}, which holds the key frame {:.1f} s before it (at {})", to_string(place.key->clip),
        static_cast<double>(place.key->distance.count()) / 1e6,
        to_rfc3339(place.utc_zero - place.key->distance));
    auto at =
        std::ranges::find(found, place.key->clip, [](const Candidate& c) { return c.place.clip; });
    if (at == found.end())
        return {{}, fmt::format("it needs {}, and that is not in its folder", wanted)};
    ClipsBefore out;
    for (; at != found.end(); ++at) {
        const bool last = std::next(at) == found.end();
        const ClipPlace& next = last ? place : std::next(at)->place;
        out.files.push_back(at->file);
        if (!goes_on(at->place, next))
            return {
                {},
                fmt::format(
                    "it needs {}, and what follows that: nothing is here between {} "
                    "and {}",
                    wanted, std::filesystem::path(at->file).filename().string(),
                    std::filesystem::path(last ? file : std::next(at)->file).filename().string())};
    }
    return out;
}

}  // namespace hd::cli
