// The board's encoders, as the daemon knows them: has them probed once a boot, remembers who needs
// one and what failed, hands out shares. Only the `super` thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "gateway/daemon/child.hpp"
#include "gateway/daemon/encoder_planner.hpp"
#include "gateway/daemon/status_board.hpp"
#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "pipelines/link/encoder_cooldown.hpp"

namespace hd::daemon {

class EncoderKeeper {
  public:
    struct Places {
        std::string runtime_folder;
        std::string recorder_program;  // absolute
    };
    EncoderKeeper(Places places, FileSystem& fs, Clock& clock, StatusBoard& board)
        : places_(std::move(places)), fs_(fs), clock_(clock), board_(board) {}

    // A recorder said what it needs, or is gone.
    void report(const CameraId& camera, const std::string& name, const link::EncoderReport& report);
    void connected(const CameraId& camera);  // it may have missed its grant
    void forget(const CameraId& camera);

    // Starts the probe when first somebody needs it, looks at it, and tells `tell` each share that
    // is news. `order`: the cameras of the configuration.
    void tick(const std::vector<CameraId>& order,
              const std::function<bool(const CameraId&, const link::EncoderGrant&)>& tell);

    // Before this process ends: the next one does not know its probe, would begin another at the
    // same encoder, and would never kill one that hangs. Call no tick() after it.
    void end_probe();

  private:
    struct Need {
        std::string name;
        link::EncoderReport report;
        link::EncoderCooldown cooldown;
        std::optional<link::EncoderGrant> told;
    };
    void probe();
    void take_probe(const std::string& path);
    void probe_failed(const std::string& what);
    std::string cache_path() const;
    void show(const EncoderUse& use);
    void watch_speed(const CameraId& camera, const Need& need);

    const Places places_;
    FileSystem& fs_;
    Clock& clock_;
    StatusBoard& board_;
    std::map<CameraId, Need> needs_;
    std::optional<EncoderFacts> facts_;
    std::optional<ProcessHandle> probing_;
    BootTime probe_began_{};
    std::optional<BootTime> probe_again_;  // the last one failed
    bool changed_ = false;
    BootTime next_look_{};
};

}  // namespace hd::daemon
