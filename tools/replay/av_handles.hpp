// libav's objects with one owner each.
#pragma once

#include <memory>
#include <string>
#include <string_view>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
}

#include "index/base/result.hpp"

namespace hd::replay {

struct AvInputClose {
    void operator()(AVFormatContext* c) const { avformat_close_input(&c); }
};
struct AvBsfFree {
    void operator()(AVBSFContext* c) const { av_bsf_free(&c); }
};
struct AvPacketFree {
    void operator()(AVPacket* p) const { av_packet_free(&p); }
};
struct AvFrameFree {
    void operator()(AVFrame* f) const { av_frame_free(&f); }
};
struct AvCodecFree {
    void operator()(AVCodecContext* c) const { avcodec_free_context(&c); }
};
struct AvParserClose {
    void operator()(AVCodecParserContext* p) const { av_parser_close(p); }
};

using AvInput = std::unique_ptr<AVFormatContext, AvInputClose>;
using AvBsf = std::unique_ptr<AVBSFContext, AvBsfFree>;
using AvPacketPtr = std::unique_ptr<AVPacket, AvPacketFree>;
using AvFramePtr = std::unique_ptr<AVFrame, AvFrameFree>;
using AvCodec = std::unique_ptr<AVCodecContext, AvCodecFree>;
using AvParser = std::unique_ptr<AVCodecParserContext, AvParserClose>;

inline Error av_error(int code, std::string_view what) {
    char words[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(code, words, sizeof words);
    const ErrorCode kind = code == AVERROR(ENOENT) ? ErrorCode::not_found : ErrorCode::corrupt;
    return {kind, std::string(what) + ": " + words};
}

}  // namespace hd::replay
