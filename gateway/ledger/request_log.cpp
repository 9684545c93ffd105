#include "gateway/ledger/request_log.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::ledger {
namespace {

// The first byte of a `taken` payload, so that fields can be added.
constexpr std::uint8_t kTakenVersion = 1;
constexpr std::size_t kMaxStoredNote = 64 * 1024;

bool is_event(std::uint16_t type) {
    return type == static_cast<std::uint16_t>(RequestEntry::answered) ||
           type == static_cast<std::uint16_t>(RequestEntry::granted) ||
           type == static_cast<std::uint16_t>(RequestEntry::fetched) ||
           type == static_cast<std::uint16_t>(RequestEntry::revoked);
}

bool has_event(const RequestBook::Entry& entry, RequestEntry kind, const Digest& grant) {
    return std::any_of(entry.grants.begin(), entry.grants.end(),
                       [&](const Event& e) { return e.kind == kind && e.detail == grant; });
}

}  // namespace

journal::Record encode_taken(const Taken& taken) {
    ByteWriter out;
    out.u8(kTakenVersion);
    out.i64(taken.received.us);
    out.raw(taken.card);
    out.raw(taken.private_sha256);
    out.raw(taken.case_public);
    out.raw(taken.case_private);
    out.raw(taken.nonce);
    out.i64(taken.window.begin.us);
    out.i64(taken.window.end.us);
    out.u64(taken.policy_number);
    out.long_string(as_bytes(taken.note));
    return {static_cast<std::uint16_t>(RequestEntry::taken), std::move(out).take()};
}

Result<Taken> decode_taken(const journal::Record& record) {
    ByteReader in(record.payload);
    if (record.type != static_cast<std::uint16_t>(RequestEntry::taken) || in.u8() != kTakenVersion)
        return Error{ErrorCode::corrupt, "request journal: not a `taken` entry of version 1"};
    Taken out;
    out.received.us = in.i64();
    out.card = in.array<32>();
    out.private_sha256 = in.array<32>();
    out.case_public = in.array<32>();
    out.case_private = in.array<32>();
    out.nonce = in.array<16>();
    out.window.begin.us = in.i64();
    out.window.end.us = in.i64();
    out.policy_number = in.u64();
    out.note = as_text(in.long_string(kMaxStoredNote));
    HD_TRY(in.finish("request journal: taken"));
    return out;
}

journal::Record encode_event(const Event& event) {
    ByteWriter out;
    out.raw(event.request);
    out.i64(event.at.us);
    out.raw(event.detail);
    return {static_cast<std::uint16_t>(event.kind), std::move(out).take()};
}

Result<Event> decode_event(const journal::Record& record) {
    if (!is_event(record.type)) return Error{ErrorCode::corrupt, "request journal: not an event"};
    ByteReader in(record.payload);
    Event out{.kind = static_cast<RequestEntry>(record.type)};
    out.request = in.array<32>();
    out.at.us = in.i64();
    out.detail = in.array<32>();
    HD_TRY(in.finish("request journal: event"));
    return out;
}

Digest note_hash(std::string_view note) { return sha256(as_bytes(note)); }

RequestId request_id(const Digest& note_hash) {
    RequestId id;
    std::copy_n(note_hash.begin(), id.bytes.size(), id.bytes.begin());
    return id;
}

RequestId request_id_of(std::string_view note) { return request_id(note_hash(note)); }

bool RequestBook::Entry::granted(const Digest& grant) const {
    return has_event(*this, RequestEntry::granted, grant);
}
bool RequestBook::Entry::fetched(const Digest& grant) const {
    return has_event(*this, RequestEntry::fetched, grant);
}
bool RequestBook::Entry::revoked(const Digest& grant) const {
    return has_event(*this, RequestEntry::revoked, grant);
}

Result<void> RequestBook::apply(const journal::Record& record) {
    if (record.type == static_cast<std::uint16_t>(RequestEntry::taken)) {
        HD_ASSIGN(auto taken, decode_taken(record));
        const Digest hash = note_hash(taken.note);
        const RequestId id = request_id(hash);
        if (by_id_.contains(id))
            return Error{ErrorCode::corrupt,
                         fmt::format("request journal: {} twice", to_string(id))};
        by_id_.emplace(id, Entry{.taken = std::move(taken), .hash = hash});
        return {};
    }
    if (!is_event(record.type)) return {};
    HD_ASSIGN(const Event event, decode_event(record));
    const auto it = by_id_.find(request_id(event.request));
    if (it == by_id_.end() || it->second.hash != event.request)
        return Error{ErrorCode::corrupt,
                     fmt::format("request journal: event of the unknown request {}",
                                 to_string(request_id(event.request)))};
    if (event.kind == RequestEntry::answered)
        it->second.answered = event;
    else
        it->second.grants.push_back(event);
    return {};
}

const RequestBook::Entry* RequestBook::find(const RequestId& id) const {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : &it->second;
}

const RequestBook::Entry* RequestBook::find(const Digest& hash) const {
    const Entry* entry = find(request_id(hash));
    return entry != nullptr && entry->hash == hash ? entry : nullptr;
}

std::size_t RequestBook::count_for_case(const Digest& card, const Digest& case_public,
                                        const Digest& case_private) const {
    std::size_t by_public = 0, by_private = 0;
    for (const auto& [id, entry] : by_id_) {
        if (entry.taken.card != card) continue;
        by_public += entry.taken.case_public == case_public ? 1u : 0u;
        by_private += entry.taken.case_private == case_private ? 1u : 0u;
    }
    return std::max(by_public, by_private);
}

bool RequestBook::nonce_used(const Digest& card, const std::array<std::uint8_t, 16>& nonce) const {
    return std::any_of(by_id_.begin(), by_id_.end(), [&](const auto& item) {
        return item.second.taken.card == card && item.second.taken.nonce == nonce;
    });
}

RequestBook::Usage RequestBook::usage(const Digest& card, TimeSpan received) const {
    Usage out;
    for (const auto& [id, entry] : by_id_) {
        const Taken& taken = entry.taken;
        if (taken.card != card || taken.received < received.begin || taken.received >= received.end)
            continue;
        ++out.requests;
        out.asked += taken.window.length();
    }
    return out;
}

std::vector<const RequestBook::Entry*> RequestBook::by_time() const {
    std::vector<const Entry*> out;
    for (const auto& [id, entry] : by_id_) out.push_back(&entry);
    std::sort(out.begin(), out.end(), [](const Entry* a, const Entry* b) {
        return std::pair(a->taken.received, a->hash) < std::pair(b->taken.received, b->hash);
    });
    return out;
}

}  // namespace hd::ledger
