// Owners of libav objects, and the one table from its errors to ours.
#pragma once

#include <memory>
#include <string_view>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
}

#include "index/base/result.hpp"

namespace hd::mux {

// libavformat 61 (FFmpeg 7) made the write callback's bytes const.
#if LIBAVFORMAT_VERSION_MAJOR >= 61
using AvWriteByte = const std::uint8_t;
#else
using AvWriteByte = std::uint8_t;
#endif

struct AvOutputFree {
    void operator()(AVFormatContext* c) const { avformat_free_context(c); }
};
using AvOutput = std::unique_ptr<AVFormatContext, AvOutputFree>;

struct AvInputClose {
    void operator()(AVFormatContext* c) const { avformat_close_input(&c); }
};
using AvInput = std::unique_ptr<AVFormatContext, AvInputClose>;

struct AvIoFree {
    void operator()(AVIOContext* c) const {
        av_freep(static_cast<void*>(&c->buffer));
        avio_context_free(&c);
    }
};
using AvIo = std::unique_ptr<AVIOContext, AvIoFree>;

struct AvPacketFree {
    void operator()(AVPacket* p) const { av_packet_free(&p); }
};
using AvPacket = std::unique_ptr<AVPacket, AvPacketFree>;

struct AvFrameFree {
    void operator()(AVFrame* f) const { av_frame_free(&f); }
};
using AvFrame = std::unique_ptr<AVFrame, AvFrameFree>;

struct AvCodecFree {
    void operator()(AVCodecContext* c) const { avcodec_free_context(&c); }
};
using AvCodec = std::unique_ptr<AVCodecContext, AvCodecFree>;

struct AvParserClose {
    void operator()(AVCodecParserContext* p) const { av_parser_close(p); }
};
using AvParser = std::unique_ptr<AVCodecParserContext, AvParserClose>;

struct AvOptions {
    AVDictionary* raw = nullptr;
    AvOptions() = default;
    ~AvOptions() { av_dict_free(&raw); }
    AvOptions(const AvOptions&) = delete;
    AvOptions& operator=(const AvOptions&) = delete;
    void set(const char* key, const char* value) { av_dict_set(&raw, key, value, 0); }
};

inline Error av_error(int rc, std::string_view step) {
    char text[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(rc, text, sizeof text);
    ErrorCode code = ErrorCode::corrupt;
    if (rc == AVERROR(ENOENT)) code = ErrorCode::not_found;
    if (rc == AVERROR(ENOMEM) || rc == AVERROR(ENOSPC)) code = ErrorCode::exhausted;
    if (rc == AVERROR(EACCES) || rc == AVERROR(EPERM)) code = ErrorCode::refused;
    if (rc == AVERROR(EINVAL) || rc == AVERROR_DEMUXER_NOT_FOUND) code = ErrorCode::invalid;
    return {code, std::string(step) + ": " + text};
}

// libav prints to standard error, stream contents and paths included. Not here.
inline void quiet_av() { av_log_set_level(AV_LOG_QUIET); }

}  // namespace hd::mux
