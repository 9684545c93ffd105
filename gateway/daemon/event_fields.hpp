// The JSON of each event topic (docs/protocol.md section 5). Pure.
#pragma once

#include <string>
#include <string_view>

#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"
#include "index/store/rows.hpp"

namespace hd::daemon {

std::string clip_opened_fields(const CameraId& camera, std::string_view path, WallTime begin);
std::string clip_closed_fields(const clip::ClipSummary& summary);
std::string clip_deleted_fields(const store::ClipRow& row, std::string_view reason);
std::string camera_state_fields(const CameraId& camera, std::string_view name,
                                std::string_view state, std::string_view detail);
struct GapFields {
    CameraId camera;
    bool open = false;
    WallTime at;
    journal::GapCause cause = journal::GapCause::closed;
    std::string_view detail;
};
std::string gap_fields(const GapFields& gap);
std::string request_fields(const RequestId& request);
std::string health_fields(std::string_view name, std::string_view state, std::string_view text);

}  // namespace hd::daemon
