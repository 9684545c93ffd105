#include "tools/replay/server.hpp"

#include <fmt/format.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <sys/socket.h>

#include "tools/replay/fault_probe.hpp"

namespace hd::replay {
namespace {

constexpr const char* kRole = "viewer";
// Sessions of clients that vanished are forgotten this often.
constexpr guint kCleanupSeconds = 2;

std::string launch_line(const Footage& f) {
    // config-interval=0: parameter sets are already in front of each key frame. The payloader would
    // put its own between the slices of a picture, and receivers would see two pictures.
    const char* video = f.codec == VideoCodec::h264 ? "rtph264pay name=pay0 pt=96 config-interval=0"
                        : f.codec == VideoCodec::h265
                            ? "rtph265pay name=pay0 pt=96 config-interval=0"
                            : "rtpjpegpay name=pay0 pt=26";
    std::string line = fmt::format("( appsrc name=video ! {}", video);
    if (f.audio) {
        const AudioCodec codec = f.audio->codec;
        const std::string sound = codec == AudioCodec::aac    ? "rtpmp4gpay name=pay1 pt=97"
                                  : codec == AudioCodec::opus ? "rtpopuspay name=pay1 pt=98"
                                  : codec == AudioCodec::pcma ? "rtppcmapay name=pay1 pt=8"
                                                              : "rtppcmupay name=pay1 pt=0";
        line += " appsrc name=audio ! " + sound;
    }
    return line + " )";
}

AppSrcPtr find_appsrc(GstElement* bin, const char* name) {
    GstElement* e = gst_bin_get_by_name_recurse_up(GST_BIN(bin), name);
    return AppSrcPtr{e ? GST_APP_SRC(e) : nullptr};
}

// The payloader's own chain function, kept with its pad.
constexpr const char* kChain = "halfdoor-chain";

GstFlowReturn chain_without_listener(GstPad* pad, GstObject* parent, GstBuffer* buffer) {
    const auto chain =
        reinterpret_cast<GstPadChainFunction>(g_object_get_data(G_OBJECT(pad), kChain));
    const GstFlowReturn flow = chain(pad, parent, buffer);
    return flow == GST_FLOW_NOT_LINKED ? GST_FLOW_OK : flow;
}

// A stream that no client has set up is not linked. For the server that is an error of the whole
// media, and it would turn the next client away; for a camera it is nothing.
void let_it_run_alone(GstElement* bin, const char* payloader) {
    GstElement* pay = gst_bin_get_by_name_recurse_up(GST_BIN(bin), payloader);
    if (!pay) return;
    GstPad* pad = gst_element_get_static_pad(pay, "sink");
    g_object_set_data(G_OBJECT(pad), kChain, reinterpret_cast<gpointer>(GST_PAD_CHAINFUNC(pad)));
    gst_pad_set_chain_function(pad, chain_without_listener);
    gst_object_unref(pad);
    gst_object_unref(pay);
}

// What the callbacks of one mount need.
struct Mount {
    CameraFeed* feed = nullptr;
    const Server::Hooks* hooks = nullptr;
    std::unique_ptr<FaultProbe> probe;
};

void on_new_state(GstRTSPMedia*, gint state, gpointer user) {
    const auto& mount = *static_cast<Mount*>(user);
    if (state != GST_STATE_PLAYING) return;
    mount.feed->play(mount.hooks->now());
    mount.hooks->on_play();
}

void on_prepared(GstRTSPMedia* media, gpointer user) {
    static_cast<Mount*>(user)->probe->watch_reports(media);
}

void on_unprepared(GstRTSPMedia*, gpointer user) { static_cast<Mount*>(user)->feed->end(); }

void on_configure(GstRTSPMediaFactory*, GstRTSPMedia* media, gpointer user) {
    const auto& mount = *static_cast<Mount*>(user);
    // Frames are paced here, in decode order; the server's sinks must not wait for display times.
    gst_rtsp_media_set_rate_control(media, FALSE);
    GstElement* bin = gst_rtsp_media_get_element(media);
    let_it_run_alone(bin, "pay0");
    let_it_run_alone(bin, "pay1");
    if (GstElement* pay = gst_bin_get_by_name_recurse_up(GST_BIN(bin), "pay0")) {
        mount.probe->watch_packets(pay);
        gst_object_unref(pay);
    }
    AppSrcPtr video = find_appsrc(bin, "video"), audio = find_appsrc(bin, "audio");
    gst_object_unref(bin);
    g_signal_connect(media, "new-state", G_CALLBACK(on_new_state), user);
    g_signal_connect(media, "prepared", G_CALLBACK(on_prepared), user);
    g_signal_connect(media, "unprepared", G_CALLBACK(on_unprepared), user);
    mount.feed->prepare(std::move(video), std::move(audio), mount.hooks->now());
}

gboolean clean_sessions(gpointer server) {
    GstRTSPSessionPool* pool = gst_rtsp_server_get_session_pool(GST_RTSP_SERVER(server));
    gst_rtsp_session_pool_cleanup(pool);
    g_object_unref(pool);
    return TRUE;
}

struct HangupQuery {
    std::string path;
    Server::Hangup how = Server::Hangup::close;
    bool watches = false;
    int ended = 0;
};

GstRTSPFilterResult look_at_media(GstRTSPSession*, GstRTSPSessionMedia* media, gpointer user) {
    auto& query = *static_cast<HangupQuery*>(user);
    gint matched = 0;
    if (gst_rtsp_session_media_matches(media, query.path.c_str(), &matched)) query.watches = true;
    return GST_RTSP_FILTER_KEEP;
}

GstRTSPFilterResult look_at_session(GstRTSPClient*, GstRTSPSession* session, gpointer user) {
    gst_rtsp_session_filter(session, look_at_media, user);
    return GST_RTSP_FILTER_KEEP;
}

GstRTSPFilterResult look_at_client(GstRTSPServer*, GstRTSPClient* client, gpointer user) {
    auto& query = *static_cast<HangupQuery*>(user);
    query.watches = false;
    gst_rtsp_client_session_filter(client, look_at_session, user);
    if (!query.watches) return GST_RTSP_FILTER_KEEP;
    GstRTSPConnection* connection = gst_rtsp_client_get_connection(client);
    GSocket* socket = connection ? gst_rtsp_connection_get_read_socket(connection) : nullptr;
    if (socket && query.how == Server::Hangup::reset) {
        const linger at_once{1, 0};  // close() sends RST
        setsockopt(g_socket_get_fd(socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    gst_rtsp_client_close(client);
    ++query.ended;
    return GST_RTSP_FILTER_KEEP;
}

}  // namespace

struct Server::Impl {
    Settings settings;
    Hooks hooks;
    GstRTSPServer* server = nullptr;
    guint attached = 0, cleanup = 0;
    std::vector<std::unique_ptr<Mount>> mounts;

    int public_port = 0;  // 0: the server's own

    bool is_protected() const { return !settings.user.empty() || !settings.tls_file.empty(); }
    Result<void> protect();
    void require_user(GstRTSPAuth* auth) const;
};

void Server::Impl::require_user(GstRTSPAuth* auth) const {
    GstRTSPToken* token =
        gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, kRole, nullptr);
    if (settings.user.empty()) {  // TLS alone: everybody may look
        gst_rtsp_auth_set_default_token(auth, token);
        gst_rtsp_token_unref(token);
        return;
    }
    const bool basic = settings.auth == Settings::Auth::basic;
    gst_rtsp_auth_set_supported_methods(auth, basic ? GST_RTSP_AUTH_BASIC : GST_RTSP_AUTH_DIGEST);
    gst_rtsp_auth_set_realm(auth, "halfdoor-replay");
    if (basic) {
        gchar* text = gst_rtsp_auth_make_basic(settings.user.c_str(), settings.password.c_str());
        gst_rtsp_auth_add_basic(auth, text, token);
        g_free(text);
    } else {
        gst_rtsp_auth_add_digest(auth, settings.user.c_str(), settings.password.c_str(), token);
    }
    gst_rtsp_token_unref(token);
}

Result<void> Server::Impl::protect() {
    if (!is_protected()) return {};
    GstRTSPAuth* auth = gst_rtsp_auth_new();
    gst_rtsp_server_set_auth(server, auth);
    g_object_unref(auth);  // The server holds it.
    require_user(auth);
    if (settings.tls_file.empty()) return {};
    GError* error = nullptr;
    GTlsCertificate* certificate =
        g_tls_certificate_new_from_file(settings.tls_file.c_str(), &error);
    if (!certificate) {
        const std::string why = error ? error->message : "not a certificate with its key";
        g_clear_error(&error);
        return Error{ErrorCode::invalid, fmt::format("--tls {}: {}", settings.tls_file, why)};
    }
    gst_rtsp_auth_set_tls_certificate(auth, certificate);
    g_object_unref(certificate);
    return {};
}

Server::Server(Settings settings, Hooks hooks) : impl_(std::make_unique<Impl>()) {
    impl_->settings = std::move(settings);
    impl_->hooks = std::move(hooks);
    impl_->server = gst_rtsp_server_new();
    gst_rtsp_server_set_address(impl_->server, impl_->settings.address.c_str());
    gst_rtsp_server_set_service(impl_->server, std::to_string(impl_->settings.port).c_str());
    gst_rtsp_server_set_backlog(impl_->server, 64);
}

Server::~Server() {
    if (impl_->cleanup) g_source_remove(impl_->cleanup);
    if (impl_->attached) g_source_remove(impl_->attached);
    gst_rtsp_server_client_filter(
        impl_->server,
        [](GstRTSPServer*, GstRTSPClient*, gpointer) { return GST_RTSP_FILTER_REMOVE; }, nullptr);
    g_object_unref(impl_->server);
}

void Server::add(CameraFeed& feed) {
    // Each camera has bad luck of its own.
    auto probe =
        std::make_unique<FaultProbe>(impl_->settings.seed + impl_->mounts.size(), impl_->hooks.now);
    impl_->mounts.push_back(std::make_unique<Mount>(Mount{&feed, &impl_->hooks, std::move(probe)}));
    GstRTSPMediaFactory* factory = gst_rtsp_media_factory_new();
    gst_rtsp_media_factory_set_launch(factory, launch_line(feed.footage()).c_str());
    gst_rtsp_media_factory_set_shared(factory, TRUE);
    gst_rtsp_media_factory_set_latency(factory, 0);
    if (impl_->is_protected())
        gst_rtsp_media_factory_add_role(factory, kRole, GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                        G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                        G_TYPE_BOOLEAN, TRUE, nullptr);
    g_signal_connect(factory, "media-configure", G_CALLBACK(on_configure),
                     impl_->mounts.back().get());
    GstRTSPMountPoints* mounts = gst_rtsp_server_get_mount_points(impl_->server);
    gst_rtsp_mount_points_add_factory(mounts, ("/" + feed.name()).c_str(), factory);
    g_object_unref(mounts);
}

Result<void> Server::listen() {
    HD_TRY(impl_->protect());
    impl_->attached = gst_rtsp_server_attach(impl_->server, nullptr);
    if (impl_->attached == 0)
        return Error{ErrorCode::unavailable,
                     fmt::format("cannot listen on {} port {} (in use?)", impl_->settings.address,
                                 impl_->settings.port)};
    impl_->cleanup = g_timeout_add_seconds(kCleanupSeconds, clean_sessions, impl_->server);
    return {};
}

int Server::port() const {
    if (impl_->public_port > 0) return impl_->public_port;
    const int bound = gst_rtsp_server_get_bound_port(impl_->server);
    return bound > 0 ? bound : impl_->settings.port;  // Not listening yet: as asked for.
}

std::string Server::url(const CameraFeed& feed) const {
    return fmt::format("{}://{}:{}/{}", impl_->settings.tls_file.empty() ? "rtsp" : "rtsps",
                       impl_->settings.address, port(), feed.name());
}

void Server::set_public_port(int port) { impl_->public_port = port; }

void Server::begin_fault(const CameraFeed& feed, const Fault& fault) {
    for (const auto& mount : impl_->mounts)
        if (mount->feed == &feed) mount->probe->begin(fault);
}

int Server::hang_up(const CameraFeed& feed, Hangup how) {
    HangupQuery query;
    query.path = "/" + feed.name();
    query.how = how;
    GList* kept = gst_rtsp_server_client_filter(impl_->server, look_at_client, &query);
    g_list_free_full(kept, g_object_unref);
    return query.ended;
}

}  // namespace hd::replay
