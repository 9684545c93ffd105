#include "gateway/daemon/policy_shelf.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

namespace hd::daemon {

namespace {

// "12.note" -> 12. Anything else is not ours.
std::optional<std::uint64_t> number_of(std::string_view name) {
    constexpr std::string_view kEnd = ".note";
    if (!name.ends_with(kEnd)) return std::nullopt;
    name.remove_suffix(kEnd.size());
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) return std::nullopt;
    return number;
}

std::string path_of(const std::string& data_folder, std::uint64_t number) {
    return join(data_folder, fmt::format("policy/{}.note", number));
}

}  // namespace

PolicyFound find_policy(FileSystem& fs, const std::string& data_folder, const HubId& hub,
                        const ledger::NoteKey& owner) {
    PolicyFound out;
    auto files = fs.list(join(data_folder, "policy"));
    if (!files) return out;
    std::vector<std::uint64_t> numbers;
    for (const FileEntry& file : *files) {
        if (auto number = number_of(file.name); number && !file.is_folder) {
            numbers.push_back(*number);
        }
    }
    std::ranges::sort(numbers);
    for (const std::uint64_t number : numbers) {
        const std::string path = path_of(data_folder, number);
        auto bytes = fs.read(path, consent::kMaxPolicyBytes);
        if (!bytes) {
            out.trouble = bytes.error().in(path).what;
            break;
        }
        auto next = consent::parse_policy(as_text(*bytes), owner);
        if (!next) {
            out.trouble = next.error().in(path).what;
            break;
        }
        const consent::SignedPolicy* present = out.ruling ? &*out.ruling : nullptr;
        if (auto accepted = consent::accept_policy(present, *next, hub); !accepted) {
            out.trouble = accepted.error().in(path).what;
            break;
        }
        out.ruling = std::move(*next);
    }
    return out;
}

Result<consent::SignedPolicy> store_policy(FileSystem& fs, const std::string& data_folder,
                                           const HubId& hub, const ledger::NoteKey& owner,
                                           const consent::SignedPolicy* present,
                                           std::string_view note) {
    HD_ASSIGN(consent::SignedPolicy next, consent::parse_policy(note, owner));
    HD_TRY(consent::accept_policy(present, next, hub));
    if (present != nullptr && present->hash == next.hash) return next;  // The same one again.
    const std::string path = path_of(data_folder, next.policy.number);
    HD_TRY(fs.make_folders(parent_folder(path), 0700));
    HD_TRY(write_file_atomic(path, as_bytes(next.bytes), 0600));
    return next;
}

}  // namespace hd::daemon
