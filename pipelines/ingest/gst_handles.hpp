// GStreamer's objects with one owner each. Everything that must be given back is given back here.
#pragma once

#include <memory>
#include <string_view>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

struct GstObjectUnref {
    void operator()(void* o) const { gst_object_unref(o); }
};
struct GstCapsUnref {
    void operator()(GstCaps* c) const { gst_caps_unref(c); }
};
struct GstSampleUnref {
    void operator()(GstSample* s) const { gst_sample_unref(s); }
};
struct GErrorFree {
    void operator()(GError* e) const { g_error_free(e); }
};
struct GFree {
    void operator()(void* p) const { g_free(p); }
};

using GstElementPtr = std::unique_ptr<GstElement, GstObjectUnref>;
using GstPadPtr = std::unique_ptr<GstPad, GstObjectUnref>;
using GstBusPtr = std::unique_ptr<GstBus, GstObjectUnref>;
using GstCapsPtr = std::unique_ptr<GstCaps, GstCapsUnref>;
using GstSamplePtr = std::unique_ptr<GstSample, GstSampleUnref>;
using GErrorPtr = std::unique_ptr<GError, GErrorFree>;
using GCharPtr = std::unique_ptr<gchar, GFree>;

// An element that exists in this installation, floating reference taken; null if there is none.
inline GstElementPtr make_element(const char* factory) {
    GstElement* e = gst_element_factory_make(factory, nullptr);
    if (e) gst_object_ref_sink(e);
    return GstElementPtr{e};
}

// A buffer, mapped for reading for as long as this lives. Empty bytes if it cannot be mapped.
class MappedBuffer {
  public:
    explicit MappedBuffer(GstBuffer* buffer) : buffer_(gst_buffer_ref(buffer)) {
        mapped_ = gst_buffer_map(buffer_, &map_, GST_MAP_READ);
    }
    ~MappedBuffer() {
        if (mapped_) gst_buffer_unmap(buffer_, &map_);
        gst_buffer_unref(buffer_);
    }
    MappedBuffer(const MappedBuffer&) = delete;
    MappedBuffer& operator=(const MappedBuffer&) = delete;
    ByteView bytes() const { return mapped_ ? ByteView{map_.data, map_.size} : ByteView{}; }

  private:
    GstBuffer* const buffer_;
    GstMapInfo map_{};
    bool mapped_ = false;
};

}  // namespace hd::ingest
