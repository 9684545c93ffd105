#include "gateway/daemon/gate_keeper.hpp"

#include <algorithm>

#include <signal.h>

#include "gateway/daemon/walls.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {
// A gate of an earlier daemon asks every 500 ms.
constexpr Micros kAdoptWait = 1500ms;
constexpr Micros kAskedLately = 5s;
constexpr Micros kEndWait = 5s;
constexpr Micros kBackoffFirst = 500ms;
constexpr Micros kBackoffMax = 30s;
constexpr Micros kSteady = 30s;
constexpr Micros kFirstLook = 500ms;  // It confines itself before it listens.
constexpr Micros kLookPeriod = 5s;
}  // namespace

void GateKeeper::want(std::optional<Plan> plan) {
    if (plan == plan_) return;
    if (plan && !plan_) next_start_ = clock_->boot() + kAdoptWait;
    plan_ = std::move(plan);
}

void GateKeeper::tick(std::int64_t last_asked_us) {
    const BootTime now = clock_->boot();
    if (process_ && process_->ended()) {
        const std::string words = process_->reap();
        process_.reset();
        board_->set_gate_walls({});
        if (!asked_to_end_) {
            failures_ = now - started_ >= kSteady ? 1 : failures_ + 1;
            const Micros wait =
                std::min(kBackoffMax, kBackoffFirst * (1 << std::min<unsigned>(failures_ - 1, 10)));
            next_start_ = now + wait;
            log::warn("gate.ended", "how=\"{}\" retry_in_ms={}", words, wait.count() / 1000);
            board_->raise("gate", "error",
                          "halfdoor-gate ended (" + words +
                              "): requesters cannot reach this hub. Is its port free?");
        } else {
            log::info("gate.stopped", "how=\"{}\"", words);
            next_start_ = now;
        }
        asked_to_end_ = false;
    }
    if (process_) {
        look_at_walls(now);
        const bool unwanted = !plan_ || plan_ != running_with_;
        if (unwanted && !asked_to_end_) {
            asked_to_end_ = true;
            term_sent_ = now;
            process_->signal(SIGTERM);
        } else if (asked_to_end_ && now - term_sent_ >= kEndWait) {
            process_->signal(SIGKILL);
        }
        if (!asked_to_end_ && now - started_ >= kSteady) board_->clear("gate");
        return;
    }
    if (!plan_ || now < next_start_) return;
    const bool adopted =
        last_asked_us != INT64_MIN && now.us - last_asked_us < kAskedLately.count();
    if (!adopted) start(now);
}

void GateKeeper::look_at_walls(BootTime now) {
    if (now < next_look_) return;
    next_look_ = now + kLookPeriod;
    board_->set_gate_walls(gate_walls(process_->pid()));
}

void GateKeeper::start(BootTime now) {
    auto pid = start_child(
        {.program = plan_->program,
         .args = {"--hub", plan_->hub, "--key-file", plan_->key_file, "--listen", plan_->listen},
         .extra_environment = {}});
    started_ = now;
    next_look_ = now + kFirstLook;
    if (!pid) {
        next_start_ = now + kBackoffMax;
        log::error("gate.start_failed", "error=\"{}\"", pid.error().what);
        board_->raise("gate", "error", pid.error().what);
        return;
    }
    auto handle = ProcessHandle::of(*pid);
    HD_CHECK(handle.ok());  // Our own child cannot vanish before it is reaped.
    process_.emplace(std::move(*handle));
    running_with_ = plan_;
    asked_to_end_ = false;
    log::info("gate.started", "pid={} listen={}", *pid, plan_->listen);
}

}  // namespace hd::daemon
