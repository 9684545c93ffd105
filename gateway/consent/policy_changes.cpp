// What changed between two policies, in sentences for the person who signs.
#include <algorithm>

#include <fmt/format.h>

#include "gateway/consent/policy.hpp"

namespace hd::consent {
namespace {

using Lines = std::vector<std::string>;

template <typename T, typename Same>
const T* find_same(const std::vector<T>& items, const T& wanted, Same&& same) {
    const auto it =
        std::find_if(items.begin(), items.end(), [&](const T& i) { return same(i, wanted); });
    return it == items.end() ? nullptr : &*it;
}

// Sentences for what is new, gone, and (by `changed`) different.
template <typename T, typename Same, typename Added, typename Gone, typename Changed>
void compare(const std::vector<T>& before, const std::vector<T>& after, Lines& out, Same&& same,
             Added&& added, Gone&& gone, Changed&& changed) {
    for (const T& item : after) {
        if (const T* old = find_same(before, item, same))
            changed(*old, item);
        else
            out.push_back(added(item));
    }
    for (const T& item : before)
        if (find_same(after, item, same) == nullptr) out.push_back(gone(item));
}

void recipients(const Policy& before, const Policy& after, Lines& out) {
    using R = PolicyRecipient;
    compare(
        before.recipients, after.recipients, out,
        [](const R& a, const R& b) { return a.age == b.age; },
        [](const R& r) {
            return fmt::format("recipient \"{}\" ({}) can open everything recorded from now on",
                               r.label, seal::to_string(r.age));
        },
        [](const R& r) {
            return fmt::format(
                "recipient \"{}\" cannot open what is recorded from now on; older clips stay open "
                "to it",
                r.label);
        },
        [&](const R& a, const R& b) {
            if (a.label != b.label)
                out.push_back(
                    fmt::format("recipient \"{}\" is now called \"{}\"", a.label, b.label));
        });
}

void approvers(const Policy& before, const Policy& after, Lines& out) {
    using A = PolicyApprover;
    compare(
        before.approvers, after.approvers, out,
        [](const A& a, const A& b) { return a.card == b.card; },
        [](const A& a) {
            return fmt::format("approver \"{}\" ({}) may let video out", a.name,
                               ledger::fingerprint(a.card));
        },
        [](const A& a) { return fmt::format("approver \"{}\" may no longer approve", a.name); },
        [&](const A& a, const A& b) {
            if (a != b)
                out.push_back(fmt::format("approver \"{}\" has another name or keys", b.name));
        });
}

void cameras(const Policy& before, const Policy& after, Lines& out) {
    compare(
        before.cameras, after.cameras, out,
        [](const CameraId& a, const CameraId& b) { return a == b; },
        [](const CameraId& c) { return fmt::format("camera {} may be asked about", to_string(c)); },
        [](const CameraId& c) {
            return fmt::format("camera {} may no longer be asked about", to_string(c));
        },
        [](const CameraId&, const CameraId&) {});
}

void requesters(const Policy& before, const Policy& after, Lines& out) {
    using R = PolicyRequester;
    compare(
        before.requesters, after.requesters, out,
        [](const R& a, const R& b) { return a.card == b.card; },
        [](const R& r) {
            return fmt::format(
                "requester \"{}\" ({}) may ask: level {}, {}; at most {} requests "
                "and {} hours a day",
                r.name, ledger::fingerprint(r.card), to_string(r.level), reveals(r.level),
                r.requests_per_day, r.hours_per_day);
        },
        [](const R& r) { return fmt::format("requester \"{}\" may no longer ask", r.name); },
        [&](const R& a, const R& b) {
            if (a.level != b.level)
                out.push_back(fmt::format("requester \"{}\": level {} -> {}: {}", b.name,
                                          to_string(a.level), to_string(b.level),
                                          reveals(b.level)));
            if (a.requests_per_day != b.requests_per_day || a.hours_per_day != b.hours_per_day)
                out.push_back(fmt::format(
                    "requester \"{}\": {} requests and {} hours a day -> {} and {}", b.name,
                    a.requests_per_day, a.hours_per_day, b.requests_per_day, b.hours_per_day));
            if (a.name != b.name)
                out.push_back(fmt::format("requester \"{}\" is now called \"{}\"", a.name, b.name));
            if (a.age != b.age || a.note != b.note || a.curve != b.curve)
                out.push_back(fmt::format("requester \"{}\" has other keys", b.name));
        });
}

std::string cell_words(const std::optional<Cell>& cell) {
    if (!cell) return "none (outside every area)";
    return fmt::format("{:.2f} {:.2f}", cell->lat_e2 / 100.0, cell->lon_e2 / 100.0);
}

}  // namespace

std::vector<std::string> describe_changes(const Policy* before, const Policy& after) {
    const Policy nothing{.minimum_age_s = 0};
    const Policy& old = before != nullptr ? *before : nothing;
    Lines out;
    if (old.minimum_age_s != after.minimum_age_s)
        out.push_back(
            fmt::format("a window must have ended {} s ago before it may be asked about "
                        "(was {} s)",
                        after.minimum_age_s, old.minimum_age_s));
    if (old.cell != after.cell)
        out.push_back(fmt::format("place of the hub: {} -> {}", cell_words(old.cell),
                                  cell_words(after.cell)));
    recipients(old, after, out);
    approvers(old, after, out);
    cameras(old, after, out);
    requesters(old, after, out);
    return out;
}

}  // namespace hd::consent
