#include "gateway/daemon/event_fields.hpp"

#include "gateway/wire/json.hpp"

namespace hd::daemon {

using wire::JsonWriter;

std::string clip_opened_fields(const CameraId& camera, std::string_view path, WallTime begin) {
    JsonWriter out;
    out.begin_object().field("camera", camera).field("clip", path).field("begin", begin);
    out.end_object();
    return std::move(out).take();
}

std::string clip_closed_fields(const clip::ClipSummary& summary) {
    JsonWriter out;
    out.begin_object()
        .field("camera", summary.camera)
        .field("clip", clip::clip_path(summary.camera, summary.name_time, summary.run))
        .field("begin", summary.utc_begin)
        .field("end", summary.utc_end)
        .field("bytes", summary.size_bytes)
        .field("frames", summary.frames)
        .field("reason", clip::to_string(summary.reason))
        .end_object();
    return std::move(out).take();
}

std::string clip_deleted_fields(const store::ClipRow& row, std::string_view reason) {
    JsonWriter out;
    out.begin_object()
        .field("camera", row.camera)
        .field("clip", store::clip_path(row))
        .field("reason", reason)
        .end_object();
    return std::move(out).take();
}

std::string camera_state_fields(const CameraId& camera, std::string_view name,
                                std::string_view state, std::string_view detail) {
    JsonWriter out;
    out.begin_object()
        .field("camera", camera)
        .field("name", name)
        .field("state", state)
        .field("detail", detail)
        .end_object();
    return std::move(out).take();
}

std::string gap_fields(const GapFields& gap) {
    JsonWriter out;
    out.begin_object().field("camera", gap.camera).field("open", gap.open).field("at", gap.at);
    if (gap.open) {
        out.field("cause", journal::to_string(gap.cause)).field("detail", gap.detail);
    }
    out.end_object();
    return std::move(out).take();
}

std::string request_fields(const RequestId& request) {
    JsonWriter out;
    out.begin_object().field("request", request).end_object();
    return std::move(out).take();
}

std::string health_fields(std::string_view name, std::string_view state, std::string_view text) {
    JsonWriter out;
    out.begin_object().field("name", name).field("state", state).field("text", text).end_object();
    return std::move(out).take();
}

}  // namespace hd::daemon
