#include "gateway/daemon/grant_desk.hpp"

#include <algorithm>

#include "index/base/encoding.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using ledger::RequestEntry;
using wire::JsonFields;
using wire::JsonWriter;

namespace {
constexpr std::size_t kMaxUploads = 2;
constexpr Micros kUploadIdle = std::chrono::seconds(120);
}  // namespace

VerbResult GrantDesk::begin(const wire::Request& request) {
    JsonFields in(request.body);
    const RequestId id = in.id<RequestId>("request");
    const auto bytes = static_cast<std::uint64_t>(
        in.integer("headers_bytes", {1, static_cast<std::int64_t>(consent::kMaxHeadersBytes)}));
    HD_TRY(in.finish());
    HD_TRY(want_frames(request, 1));
    if (request.binary[0].empty() || request.binary[0].size() > consent::kMaxGrantBytes) {
        return Error{ErrorCode::invalid, "grant: must be a note of at most 131072 bytes"};
    }
    if (wiring_.requests.book().find(id) == nullptr) {
        return Error{ErrorCode::not_found, "request: there is no such request"};
    }
    tidy();
    if (uploads_.size() >= kMaxUploads) {
        return Error{ErrorCode::exhausted, "upload: two are under way; finish or abort one"};
    }
    const std::string name = hex_id(random_id_bytes());
    Upload upload{.request = id,
                  .grant = std::string(as_text(request.binary[0])),
                  .headers_bytes = bytes,
                  .file = nullptr,
                  .path = join(shelf_.upload_folder(), name),
                  .last_used = wiring_.clock.boot()};
    HD_ASSIGN(upload.file, wiring_.fs.create(upload.path));
    uploads_.emplace(name, std::move(upload));
    JsonWriter out;
    out.begin_object().field("upload", name).end_object();
    return VerbReply{std::move(out).take(), {}};
}

Result<GrantDesk::Upload*> GrantDesk::upload_of(const std::string& id) {
    const auto found = uploads_.find(id);
    if (found == uploads_.end()) {
        return Error{ErrorCode::not_found, "upload: there is none of this id, or it was idle"};
    }
    found->second.last_used = wiring_.clock.boot();
    return &found->second;
}

void GrantDesk::drop(const std::string& id) {
    const auto found = uploads_.find(id);
    if (found == uploads_.end()) return;
    found->second.file.reset();
    wiring_.fs.remove(found->second.path).ignore();  // Removed at the next start otherwise.
    uploads_.erase(found);
}

VerbResult GrantDesk::put(const wire::Request& request) {
    JsonFields in(request.body);
    const std::string id = in.text("upload", 32);
    const auto offset = static_cast<std::uint64_t>(in.integer("offset", {0, INT64_MAX}));
    HD_TRY(in.finish());
    HD_TRY(want_frames(request, 1));
    const Bytes& chunk = request.binary[0];
    HD_ASSIGN(Upload * upload, upload_of(id));
    const std::uint64_t have = upload->file->size();
    if (offset != have) {
        return Error{ErrorCode::invalid, "offset: must be " + std::to_string(have)};
    }
    if (chunk.empty() || chunk.size() > wire::kMaxChunkBytes ||
        chunk.size() > upload->headers_bytes - have) {
        return Error{ErrorCode::invalid,
                     "frames: a chunk of 1 to 1048576 bytes within headers_bytes"};
    }
    if (auto written = upload->file->append(chunk); !written) {
        drop(id);
        return written.error();
    }
    JsonWriter out;
    out.begin_object().field("upload", id).field("have", have + chunk.size()).end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult GrantDesk::abort(const wire::Request& request) {
    JsonFields in(request.body);
    const std::string id = in.text("upload", 32);
    HD_TRY(in.finish());
    drop(id);
    return VerbReply{};
}

// The clips of the window that the ranges name, found by their cameras and headers.
Result<std::map<ClipId, std::string>> GrantDesk::clips_of(const consent::Grant& grant,
                                                          TimeSpan window) const {
    std::set<ClipId> wanted;
    store::WindowQuery query{.window = window, .limit = 1000};
    for (const consent::PieceRange& range : grant.ranges) {
        wanted.insert(range.clip);
        if (std::ranges::find(query.cameras, range.camera) == query.cameras.end()) {
            query.cameras.push_back(range.camera);
        }
    }
    std::map<ClipId, std::string> out;
    if (query.cameras.empty()) return out;
    const std::string folder = join(wiring_.data_folder, "clips");
    while (out.size() < wanted.size()) {
        HD_ASSIGN(const auto page, wiring_.store.window(query));
        for (const store::ClipRow& row : page.clips) {
            const std::string path = store::clip_path(row);
            auto header = clip::read_header(wiring_.fs, join(folder, path));
            if (header && wanted.contains(header->header.clip)) out[header->header.clip] = path;
        }
        if (page.next_cursor.empty()) break;
        query.cursor = page.next_cursor;
    }
    return out;
}

Result<std::size_t> GrantDesk::accept(Upload& upload, const Ruling& ruling, WallTime& not_after) {
    HD_ASSIGN(consent::SignedGrant grant, consent::parse_grant(upload.grant));
    if (ledger::request_id(grant.grant.request) != upload.request) {
        return Error{ErrorCode::invalid, "grant: is for another request"};
    }
    HD_TRY(consent::check_grant({.policy = ruling.policy->policy,
                                 .owner = ruling.owner,
                                 .book = wiring_.requests.book(),
                                 .now = wiring_.clock.wall()},
                                grant));
    if (grant.grant.headers > kMaxReleasePieces) {
        return Error{ErrorCode::exhausted,
                     "headers: at most 50000 pieces in one release; approve a shorter window or "
                     "fewer cameras"};
    }
    const auto* entry = wiring_.requests.book().find(upload.request);
    if (entry == nullptr) return Error{ErrorCode::not_found, "request: there is no such request"};
    const TimeSpan window = entry->taken.window;
    HD_ASSIGN(const Bytes headers, wiring_.fs.read(upload.path, consent::kMaxHeadersBytes));
    const Digest hash = grant.hash;
    const Digest request_hash = grant.grant.request;
    not_after = grant.grant.not_after;
    Release release{.grant = std::move(grant), .clips = {}};
    HD_ASSIGN(release.clips, clips_of(release.grant.grant, window));
    HD_ASSIGN(const std::size_t pieces,
              visit_granted(wiring_.fs, join(wiring_.data_folder, "clips"), release, headers,
                            window, [](const GrantedPiece& p) {
                                return consent::check_new_header(p.new_header,
                                                                 p.original.age_header);
                            }));
    HD_TRY(shelf_.store(upload.request, std::move(release), headers));
    HD_TRY(wiring_.requests.note_event(RequestEntry::granted, request_hash, hash));
    log::info("grant.accepted", "request={} pieces={}", to_string(upload.request), pieces);
    return pieces;
}

VerbResult GrantDesk::commit(const wire::Request& request, const Ruling& ruling) {
    JsonFields in(request.body);
    const std::string id = in.text("upload", 32);
    HD_TRY(in.finish());
    if (!ruling.policy) return Error{ErrorCode::unavailable, "no policy rules yet"};
    HD_ASSIGN(Upload * upload, upload_of(id));
    if (upload->file->size() != upload->headers_bytes) {
        return Error{ErrorCode::invalid, "headers_bytes: not all bytes have come"};
    }
    const RequestId request_id = upload->request;
    WallTime not_after;
    auto pieces = accept(*upload, ruling, not_after);
    drop(id);
    if (!pieces) return pieces.error();
    JsonWriter out;
    out.begin_object()
        .field("request", request_id)
        .field("pieces", std::uint64_t{*pieces})
        .field("not_after", not_after)
        .end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult GrantDesk::fetch(const wire::Request& request, const consent::Policy* policy) {
    JsonFields in(request.body);
    const std::string user = in.text("user", 64);
    const RequestId id = in.id<RequestId>("request");
    const auto part = static_cast<std::uint64_t>(in.integer("part", {0, 1'000'000}));
    HD_TRY(in.finish());
    const VerbReply nothing{R"({"released":false})", {}};
    const auto* entry = wiring_.requests.book().find(id);
    const Release* release = shelf_.find(id);
    const consent::PolicyRequester* who =
        policy != nullptr ? requester_of_user(*policy, user) : nullptr;
    if (entry == nullptr || release == nullptr || who == nullptr ||
        who->card != entry->taken.card || entry->revoked(release->grant.hash)) {
        return nothing;
    }
    auto got = shelf_.read_part(id,
                                {.request = entry->taken.note,
                                 .answer = wiring_.requests.answer_of(id),
                                 .window = entry->taken.window},
                                part);
    if (!got) {
        log::warn("release.not_served", "request={} error=\"{}\"", to_string(id), got.error().what);
        return nothing;
    }
    if (!entry->fetched(release->grant.hash)) {
        // From now on nothing can be recalled: on the disk before the first byte leaves.
        HD_TRY(
            wiring_.requests.note_event(RequestEntry::fetched, entry->hash, release->grant.hash));
    }
    JsonWriter out;
    out.begin_object().field("released", true).field("parts", got->parts).end_object();
    return VerbReply{std::move(out).take(), {std::move(got->bytes)}};
}

void GrantDesk::tidy() {
    const BootTime now = wiring_.clock.boot();
    std::vector<std::string> idle;
    for (const auto& [id, upload] : uploads_) {
        if (now - upload.last_used >= kUploadIdle) idle.push_back(id);
    }
    for (const std::string& id : idle) drop(id);
    shelf_.expire();
}

}  // namespace hd::daemon
