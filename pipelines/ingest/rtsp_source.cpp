// The thread of a source, and what is left of it where the resolver of host names hangs.
#include <condition_variable>
#include <thread>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pipelines/ingest/lean_reader.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {
namespace {

class RtspSource final : public Source {
  public:
    RtspSource(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
               std::shared_ptr<EncoderDesk> desk, std::shared_ptr<Dialer> dialer)
        : clock_(clock),
          shared_(std::make_shared<Shared>(settings, clock, ingress, std::move(desk),
                                           std::move(dialer))) {}
    ~RtspSource() override { stop(clock_.boot() + std::chrono::seconds(2)).ignore(); }

    Result<void> start() override {
        HD_TRY(shared_->reader.prepare());
        // What a camera's packets do must not end up in a signal handler.
        thread_ = std::thread([shared = shared_] {
            ::pthread_setname_np(::pthread_self(), "rtsp");
            shared->reader.run();
            const std::lock_guard lock(shared->mutex);
            shared->done = true;
            shared->done_changed.notify_all();
        });
        return {};
    }

    Result<void> stop(BootTime deadline) override {
        shared_->reader.close();
        if (!thread_.joinable()) return {};
        const Micros patience = std::max(Micros(0), deadline - clock_.boot());
        std::unique_lock lock(shared_->mutex);
        const bool done =
            shared_->done_changed.wait_for(lock, patience, [this] { return shared_->done; });
        lock.unlock();
        if (done) {
            thread_.join();
            return {};
        }
        // Only the resolver of host names can hang. The thread keeps its own share of the reader.
        thread_.detach();
        return Error{ErrorCode::unavailable, "the reader did not stop before its deadline"};
    }

    SourceStats stats() const override { return shared_->reader.stats(); }

  private:
    struct Shared {
        Shared(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
               std::shared_ptr<EncoderDesk> desk, std::shared_ptr<Dialer> dialer)
            : reader(settings, clock, ingress, std::move(desk), std::move(dialer)) {}
        LeanReader reader;
        std::mutex mutex;  // Lock order: alone.
        std::condition_variable done_changed;
        bool done = false;  // Guarded by mutex.
    };

    Clock& clock_;
    const std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

}  // namespace

std::unique_ptr<Source> make_rtsp_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::shared_ptr<EncoderDesk> desk,
                                         std::shared_ptr<Dialer> dialer) {
    desk->begin(settings, clock.boot());
    return std::make_unique<RtspSource>(settings, clock, ingress, std::move(desk),
                                        std::move(dialer));
}

}  // namespace hd::ingest
