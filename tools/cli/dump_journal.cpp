// dump of journals: camera, clock, request.
#include <fmt/format.h>

#include "gateway/ledger/request_log.hpp"
#include "index/base/encoding.hpp"
#include "index/journal/camera_journal.hpp"
#include "tools/cli/dump.hpp"

namespace hd::cli {
namespace {

void add_stamp(Json& out, const journal::Stamp& s) {
    out["utc"] = to_rfc3339(s.utc);
    out["boot"] = to_string(s.boot);
    out["boot_us"] = s.at.us;
    out["quality"] = to_string(s.quality);
}

// Fields of one camera record, under its name.
struct CameraFields {
    Json out;
    void operator()(const journal::Configured& r) {
        out = Json{{"record", "configured"}, {"camera", to_string(r.camera)}, {"name", r.name}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::Disabled& r) {
        out = Json{{"record", "disabled"}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::RunBegan& r) {
        out = Json{{"record", "run_began"}, {"run", to_string(r.run)}, {"encoder", r.encoder}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::RunEnded& r) {
        out = Json{{"record", "run_ended"},
                   {"run", to_string(r.run)},
                   {"cause", journal::to_string(r.cause)},
                   {"detail", r.detail}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::GapBegan& r) {
        out = Json{
            {"record", "gap_began"}, {"cause", journal::to_string(r.cause)}, {"detail", r.detail}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::GapEnded& r) {
        out = Json{{"record", "gap_ended"}};
        add_stamp(out, r.when);
    }
    void operator()(const journal::ClipClosed& r) {
        out = Json{{"record", "clip_closed"}, {"clip", to_string(r.clip)},
                   {"run", to_string(r.run)}, {"name_time", to_rfc3339(r.name_time)},
                   {"bytes", r.size_bytes},   {"pieces_sha256", to_hex(r.pieces_sha256)}};
        add_stamp(out, r.when);
    }
};

Result<Json> camera_json(const journal::Record& record) {
    HD_ASSIGN(const auto value, journal::decode_camera_record(record));
    CameraFields fields;
    std::visit(fields, value);
    return std::move(fields.out);
}

Result<Json> clock_json(const journal::Record& record) {
    HD_ASSIGN(const auto value, journal::decode_clock_record(record));
    Json out{{"record", value.stepped_us == 0 ? "clock" : "clock_stepped"},
             {"stepped_us", value.stepped_us},
             {"offset_us", value.when.utc.us - value.when.at.us}};
    add_stamp(out, value.when);
    return out;
}

std::string_view event_name(ledger::RequestEntry kind) {
    switch (kind) {
        case ledger::RequestEntry::taken:
            return "taken";
        case ledger::RequestEntry::answered:
            return "answered";
        case ledger::RequestEntry::granted:
            return "granted";
        case ledger::RequestEntry::fetched:
            return "fetched";
        case ledger::RequestEntry::revoked:
            return "revoked";
    }
    return "unknown";
}

Result<Json> request_json(const journal::Record& record) {
    if (record.type == static_cast<std::uint16_t>(ledger::RequestEntry::taken)) {
        HD_ASSIGN(const auto taken, ledger::decode_taken(record));
        return Json{{"record", "taken"},
                    {"request", to_string(ledger::request_id_of(taken.note))},
                    {"received", to_rfc3339(taken.received)},
                    {"card", to_hex(taken.card)},
                    {"from", to_rfc3339(taken.window.begin)},
                    {"to", to_rfc3339(taken.window.end)},
                    {"policy_number", taken.policy_number},
                    {"private_sha256", to_hex(taken.private_sha256)},
                    {"note", taken.note}};
    }
    HD_ASSIGN(const auto event, ledger::decode_event(record));
    return Json{{"record", event_name(event.kind)},
                {"request", to_string(ledger::request_id(event.request))},
                {"at", to_rfc3339(event.at)},
                {"detail", to_hex(event.detail)}};
}

}  // namespace

Result<int> dump_journal(Context& ctx, const std::string& path, std::string_view kind) {
    std::uint64_t unread = 0;
    const auto show = [&](const journal::Record& record, std::uint64_t offset) {
        auto json = kind == "camera"  ? camera_json(record)
                    : kind == "clock" ? clock_json(record)
                                      : request_json(record);
        if (!json) {
            ++unread;
            ctx.out.json_line(Json{{"record", "unreadable"},
                                   {"offset", offset},
                                   {"type", record.type},
                                   {"payload", to_hex(record.payload)},
                                   {"problem", json.error().what}});
            return;
        }
        (*json)["offset"] = offset;
        ctx.out.json_line(*json);
    };
    HD_ASSIGN(const journal::ReadReport report,
              journal::read(real_file_system(), path, kind, 0, show));
    const bool whole = report.damaged_bytes == 0 && report.torn_bytes == 0 && unread == 0;
    ctx.out.json_line(Json{{"record", "end"},
                           {"kind", kind},
                           {"records", report.records},
                           {"damaged_bytes", report.damaged_bytes},
                           {"torn_bytes", report.torn_bytes},
                           {"whole", whole}});
    return whole ? kOk : kDamaged;
}

}  // namespace hd::cli
