#include "gateway/daemon/request_desk.hpp"

#include <algorithm>

#include "gateway/daemon/event_fields.hpp"
#include "gateway/wire/fields.hpp"
#include "index/base/encoding.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using ledger::RequestEntry;
using wire::JsonFields;
using wire::JsonWriter;

namespace {

// Twelve hours of 64 cameras that reconnect every 20 s would be more; a page of an answer holds
// 2,800 clips at most, and coverage needs no more to be exact.
constexpr std::size_t kMaxClipsOfWindow = 100'000;

// Stands for the clip in labels and nowhere else: as unique as the file's name, without a read.
ClipId label_id(const store::ClipRow& row) {
    const Digest digest = sha256(as_bytes(store::clip_path(row)));
    ClipId id;
    std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
    return id;
}

}  // namespace

std::string user_of(const consent::PolicyRequester& requester) {
    return to_hex(ByteView(requester.card).first(16));
}

const consent::PolicyRequester* requester_of_user(const consent::Policy& policy,
                                                  std::string_view user) {
    for (const consent::PolicyRequester& requester : policy.requesters) {
        if (user_of(requester) == user) return &requester;
    }
    return nullptr;
}

std::string RequestDesk::path_of(const RequestId& id, std::string_view kind) const {
    return join(wiring_.data_folder, "requests/" + to_string(id) + "." + std::string(kind));
}

Result<RequestDesk> RequestDesk::open(Wiring wiring) {
    const std::string folder = join(wiring.data_folder, "requests");
    const std::string path = join(folder, "requests.log");
    HD_TRY(wiring.fs.make_folders(folder, 0700));
    if (wiring.fs.exists(path)) {
        HD_TRY(journal::repair_tail(wiring.fs, path, ledger::kRequestJournalKind));
    }
    HD_ASSIGN(auto writer, journal::Writer::open(wiring.fs, path, ledger::kRequestJournalKind));
    FileSystem& fs = wiring.fs;
    RequestDesk desk(std::move(wiring), std::move(writer));
    HD_TRY(journal::read(fs, path, ledger::kRequestJournalKind, 0,
                         [&desk](const journal::Record& record, std::uint64_t offset) {
                             if (auto applied = desk.book_.apply(record); !applied) {
                                 log::warn("requests.bad_record", "offset={} error=\"{}\"", offset,
                                           applied.error().what);
                             }
                         }));
    desk.remove_strays();
    return desk;
}

// A private body is written before its request is taken in: after a crash in between it belongs to
// nobody, and nobody shall keep it.
void RequestDesk::remove_strays() {
    const std::string folder = join(wiring_.data_folder, "requests");
    auto files = wiring_.fs.list(folder);
    if (!files) return;
    for (const FileEntry& file : *files) {
        if (file.is_folder || !file.name.ends_with(".private")) continue;
        auto id = parse_id<RequestId>(std::string_view(file.name).substr(0, 32), "request");
        if (id && book_.find(*id) != nullptr) continue;
        wiring_.fs.remove(join(folder, file.name)).ignore();  // Tried again at the next start.
    }
}

Result<void> RequestDesk::append(const journal::Record& record) {
    HD_TRY(writer_.append(record));
    HD_TRY(writer_.sync());
    return book_.apply(record);
}

Result<void> RequestDesk::note_event(RequestEntry kind, const Digest& request,
                                     const Digest& detail) {
    return append(ledger::encode_event(
        {.kind = kind, .request = request, .at = wiring_.clock.wall(), .detail = detail}));
}

std::string RequestDesk::answer_of(const RequestId& id) const {
    auto bytes = wiring_.fs.read(path_of(id, "answer"), consent::kAnswerBytes);
    return bytes ? std::string(as_text(*bytes)) : std::string();
}

VerbResult RequestDesk::ask(const wire::Request& request, const HubIdentity& hub,
                            const consent::Policy& policy) {
    JsonFields in(request.body);
    const std::string user = in.text("user", 64);
    HD_TRY(in.finish());
    HD_TRY(want_frames(request, 2));
    const consent::PolicyRequester* who = requester_of_user(policy, user);
    // Revoked between the gate's key check and now: silence.
    if (who == nullptr) return Error{ErrorCode::unavailable, "user: no such requester"};
    const std::string_view note = as_text(request.binary[0]);
    const std::string_view body = as_text(request.binary[1]);
    const consent::Intake intake = consent::judge_request({.policy = policy,
                                                           .who = *who,
                                                           .book = book_,
                                                           .now = wiring_.clock.wall(),
                                                           .hub_secret = hub.answer_secret.view()},
                                                          note, body);
    if (intake.kind == consent::Intake::Kind::breach) return intake.breach.error();
    if (intake.kind == consent::Intake::Kind::replay) {
        const RequestId id = ledger::request_id(intake.request->hash);
        std::string stored = answer_of(id);
        if (!stored.empty()) return VerbReply{"{}", {frame_of(stored)}};
        // Taken in before a crash and never answered: answered now, from the stamp of then.
        const auto* entry = book_.find(id);
        if (entry == nullptr) return Error{ErrorCode::unavailable, "not answered"};
        HD_ASSIGN(const std::string made,
                  answer(*intake.request, entry->taken.received, hub, policy, *who));
        return VerbReply{"{}", {frame_of(made)}};
    }
    if (auto taken = take_in(intake, body); !taken) {
        log::error("request.not_stored", "error=\"{}\"", taken.error().what);
        return Error{ErrorCode::unavailable, "not stored"};
    }
    HD_ASSIGN(const std::string made,
              answer(*intake.request, intake.entry.received, hub, policy, *who));
    return VerbReply{"{}", {frame_of(made)}};
}

Result<std::string> RequestDesk::take_in(const consent::Intake& intake,
                                         std::string_view private_body) {
    const RequestId id = ledger::request_id(intake.request->hash);
    if (!private_body.empty()) {
        HD_TRY(write_file_atomic(path_of(id, "private"), as_bytes(private_body), 0600));
    }
    HD_TRY(append(ledger::encode_taken(intake.entry)));
    log::info("request.taken", "request={}", to_string(id));
    wiring_.events.publish("request", wiring_.clock.wall(), request_fields(id));
    return to_string(id);
}

std::vector<consent::ClipSpan> RequestDesk::clips_of(const consent::Request& request,
                                                     const consent::Policy& policy) const {
    std::vector<consent::ClipSpan> out;
    if (policy.cameras.empty()) return out;  // An empty list would mean all cameras to the store.
    store::WindowQuery query{
        .window = request.window, .cameras = policy.cameras, .limit = store::kMaxPageItems};
    while (out.size() < kMaxClipsOfWindow) {
        auto page = wiring_.store.window(query);
        if (!page) return {};  // An internal error looks like no footage.
        for (const store::ClipRow& row : page->clips) {
            out.push_back({.camera = row.camera, .clip = label_id(row), .span = row.span()});
        }
        if (page->next_cursor.empty()) break;
        query.cursor = page->next_cursor;
    }
    return out;
}

Result<std::string> RequestDesk::answer(const consent::SignedRequest& request, WallTime received,
                                        const HubIdentity& hub, const consent::Policy& policy,
                                        const consent::PolicyRequester& who) {
    const std::vector<consent::ClipSpan> clips = clips_of(request.request, policy);
    const consent::Answer decided =
        consent::decide_answer({.policy = policy,
                                .who = &who,
                                .request = request.request,
                                .request_hash = request.hash,
                                .received = received,
                                .clips = clips,
                                .hub_secret = hub.answer_secret.view()});
    std::string bytes = consent::sign_answer(decided, hub.signer);
    const RequestId id = ledger::request_id(request.hash);
    // Stored before sent. If the disk refuses, silence is the only answer that stays the same.
    if (auto wrote = write_file_atomic(path_of(id, "answer"), as_bytes(bytes), 0600); !wrote) {
        log::error("request.answer_not_stored", "error=\"{}\"", wrote.error().what);
        return Error{ErrorCode::unavailable, "not stored"};
    }
    const auto* entry = book_.find(id);
    if (entry != nullptr && !entry->answered) {
        auto noted = note_event(RequestEntry::answered, request.hash, sha256(as_bytes(bytes)));
        if (!noted) log::warn("request.event_not_stored", "error=\"{}\"", noted.error().what);
    }
    return bytes;
}

std::string_view RequestDesk::state_of(const ledger::RequestBook::Entry& entry, WallTime now,
                                       WallTime expires) const {
    bool granted = false;
    bool fetched = false;
    for (const ledger::Event& event : entry.grants) {
        if (event.kind == RequestEntry::granted) granted = true;
        if (event.kind == RequestEntry::fetched) fetched = true;
        if (event.kind == RequestEntry::revoked) granted = false;
    }
    if (fetched) return "fetched";
    if (granted) return "granted";
    if (expires <= now) return "expired";
    if (dismissed_.contains(ledger::request_id(entry.hash))) return "dismissed";
    return "waiting";
}

VerbResult RequestDesk::requests(const wire::Request& request,
                                 const consent::Policy* policy) const {
    JsonFields in(request.body);
    const auto limit = static_cast<std::size_t>(in.integer_or("limit", 50, {1, 200}));
    const std::string cursor = wire::read_cursor(in);
    HD_TRY(in.finish());
    RequestId after;
    if (!cursor.empty()) {
        HD_ASSIGN(const std::string position, wire::open_cursor(cursor, "requests"));
        HD_ASSIGN(after, parse_id<RequestId>(position, "cursor"));
    }
    std::vector<const ledger::RequestBook::Entry*> newest = book_.by_time();
    std::ranges::reverse(newest);
    std::size_t at = 0;
    if (!cursor.empty()) {
        while (at < newest.size() && ledger::request_id(newest[at]->hash) != after) ++at;
        ++at;
    }
    const WallTime now = wiring_.clock.wall();
    JsonWriter out;
    out.begin_object().key("requests").begin_array();
    RequestId last;
    for (std::size_t sent = 0; at < newest.size() && sent < limit; ++at) {
        const ledger::RequestBook::Entry& entry = *newest[at];
        auto parsed = consent::parse_request(entry.taken.note);
        if (!parsed) continue;  // It was judged when it came; a later reader may be stricter.
        last = ledger::request_id(entry.hash);
        const consent::PolicyRequester* who =
            policy != nullptr ? policy->requester_by_card(entry.taken.card) : nullptr;
        out.begin_object()
            .field("request", last)
            .field("requester", who != nullptr ? who->name : std::string())
            .field("from", parsed->request.window.begin)
            .field("to", parsed->request.window.end)
            .field("offence", consent::to_string(parsed->request.offence))
            .field("posted", parsed->request.posted)
            .field("received", entry.taken.received)
            .field("expires", parsed->request.expires)
            .field("state", state_of(entry, now, parsed->request.expires))
            .end_object();
        ++sent;
    }
    out.end_array();
    if (at < newest.size() && !last.is_zero()) {
        out.field("cursor", wire::make_cursor(to_string(last), "requests"));
    }
    out.end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult RequestDesk::show(const wire::Request& request, const consent::Policy* policy) const {
    JsonFields in(request.body);
    const RequestId id = in.id<RequestId>("request");
    HD_TRY(in.finish());
    const auto* entry = book_.find(id);
    if (entry == nullptr) return Error{ErrorCode::not_found, "request: there is no such request"};
    HD_ASSIGN(const auto parsed, consent::parse_request(entry->taken.note));
    auto body = wiring_.fs.read(path_of(id, "private"), consent::kMaxPrivateBytes);
    const consent::PolicyRequester* who =
        policy != nullptr ? policy->requester_by_card(entry->taken.card) : nullptr;
    JsonWriter out;
    out.begin_object()
        .field("request", id)
        .field("state", state_of(*entry, wiring_.clock.wall(), parsed.request.expires))
        .field("received", entry->taken.received)
        .field("requester", who != nullptr ? who->name : std::string())
        .field("user", to_hex(ByteView(entry->taken.card).first(16)))
        .field("private", body.ok())
        .end_object();
    return VerbReply{
        std::move(out).take(),
        {frame_of(entry->taken.note), body ? std::move(*body) : Bytes{}, frame_of(answer_of(id))}};
}

VerbResult RequestDesk::dismiss(const wire::Request& request) {
    JsonFields in(request.body);
    const RequestId id = in.id<RequestId>("request");
    HD_TRY(in.finish());
    if (book_.find(id) == nullptr) {
        return Error{ErrorCode::not_found, "request: there is no such request"};
    }
    dismissed_.insert(id);
    JsonWriter out;
    out.begin_object().field("request", id).end_object();
    return VerbReply{std::move(out).take(), {}};
}

}  // namespace hd::daemon
