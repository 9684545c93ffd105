// The RTSP server: one mount per camera, on gst-rtsp-server. All of its callbacks run on threads of
// GStreamer; here they only tell a CameraFeed that a session began or ended.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/replay/camera_feed.hpp"
#include "tools/replay/fault.hpp"

namespace hd::replay {

class Server {
  public:
    struct Settings {
        std::string address = "127.0.0.1";
        int port = 8554;             // 0: the system chooses one
        std::string user, password;  // empty user: no authentication
        enum class Auth { digest, basic, both } auth = Auth::digest;
        std::string tls_file;    // PEM, certificate and key: rtsps:// instead of rtsp://
        std::uint64_t seed = 1;  // of the faults
    };
    // `now` is the program's own clock; `on_play` is called when a camera begins to stream, so that
    // whoever paces can look. Both are called on GStreamer's threads and must outlive the server.
    struct Hooks {
        std::function<Tick()> now;
        std::function<void()> on_play;
    };
    Server(Settings settings, Hooks hooks);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Before listen(). The feed must outlive the server.
    void add(CameraFeed& feed);

    // Begins to serve; needs a running main loop on the default context. unavailable: names address
    // and port.
    Result<void> listen();
    int port() const;  // the one that it listens on
    std::string url(const CameraFeed& feed) const;
    // Clients come to another port, from which they are passed on.
    void set_public_port(int port);

    // Ends the TCP connections of everybody who watches this camera: with a reset, or as after the
    // last frame. Returns how many.
    enum class Hangup { reset, close };
    int hang_up(const CameraFeed& feed, Hangup how);
    // A fault of the camera's packets or sender reports begins; any thread.
    void begin_fault(const CameraFeed& feed, const Fault& fault);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hd::replay
