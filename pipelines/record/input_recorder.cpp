#include "pipelines/record/input_recorder.hpp"

#include <algorithm>
#include <optional>
#include <thread>

#include <pthread.h>

#include "index/base/clock.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/record/clip_session.hpp"
#include "pipelines/record/disk_thread.hpp"
#include "pipelines/record/session_plan.hpp"

namespace hd::record {
namespace {

// Two seconds of video or so: soon enough to notice a full disk, rare enough to cost nothing.
constexpr std::uint64_t kFramesPerLook = 50;

// Ids that a second recording with the same options gets again.
class DerivedIds {
  public:
    explicit DerivedIds(const InputPlan& plan) {
        ByteWriter out;
        out.raw(std::string_view("halfdoor-input/v1\n"));
        out.raw(plan.settings.camera.bytes);
        out.i64(plan.start.us);
        out.raw(plan.seed);
        root_ = sha256(out.view());
    }
    Digest next() {
        ByteWriter out;
        out.raw(root_);
        out.u64(count_++);
        return sha256(out.view());
    }
    ClipId clip() {
        const Digest d = next();
        ClipId id;
        std::copy_n(d.begin(), id.bytes.size(), id.bytes.begin());
        return id;
    }
    RunId run() {
        const Digest d = next();
        ByteReader in(d);
        return RunId{in.u32()};
    }

  private:
    Digest root_{};
    std::uint64_t count_ = 0;
};

ingest::StreamFormat format_of(const mux::VideoTrack& t, Micros frame_duration) {
    return {.codec = t.codec == mux::Codec::h264 ? ingest::Codec::h264 : ingest::Codec::h265,
            .width = t.width,
            .height = t.height,
            .codec_config = t.codec_config,
            .rfc6381 = t.rfc6381,
            .encoder = "camera",
            .encoder_why = "recorded from a file",
            .frame_duration = frame_duration};
}

class InputRun {
  public:
    InputRun(FileSystem& fs, const InputPlan& plan, mux::MediaFile& file)
        : plan_(plan),
          file_(file),
          fs_(fs),
          disk_(fs, system_clock(), plan.settings.data_folder, plan.settings.camera),
          queue_(disk_, system_clock(), {.sync_pieces = false}, {}),
          ids_(plan),
          session_(plan_of(plan.settings), {.disk = queue_,
                                            .new_clip_id = [this] { return ids_.clip(); },
                                            .time_base = [] { return time_base(); }}) {}

    Result<InputReport> record(const std::function<void(double)>& progress) {
        HD_ASSIGN(auto first, file_.next());
        if (!first) return Error{ErrorCode::invalid, plan_.file + ": no picture in it"};
        const RunId run = ids_.run();
        HD_TRY(check_new(run));
        session_.begin_run(run);
        std::thread disk([this] {
            pthread_setname_np(pthread_self(), "disk");
            queue_.run();
        });
        const auto begin = time_base().stamp(BootTime{plan_.start.us});
        queue_.offer(WriteJournal{journal::RunBegan{begin, run, "camera"}});
        auto done = feed(std::move(*first), progress);
        auto ended = session_.end(clip::EndReason::input_end, "");
        const BootTime end = session_.end_of_last_frame().value_or(begin.at);
        queue_.offer(WriteJournal{journal::RunEnded{.when = time_base().stamp(end),
                                                    .run = run,
                                                    .cause = journal::GapCause::closed,
                                                    .detail = "end of the file"}});
        queue_.close();
        disk.join();
        HD_TRY(gather());
        HD_TRY(std::move(done));
        HD_TRY(std::move(ended));
        report_.frames = session_.frames();
        report_.skipped_frames = session_.skipped_frames();
        if (report_.frames == 0)
            return Error{ErrorCode::invalid, plan_.file + ": no key frame in it"};
        return std::move(report_);
    }

  private:
    static TimeBase time_base() {
        return {.boot = input_boot_id(),
                .wall_minus_boot = Micros(0),
                .quality = ClockQuality::assumed};
    }

    Result<void> check_new(RunId run) {
        const std::string path = join(join(plan_.settings.data_folder, "clips"),
                                      clip::clip_path(plan_.settings.camera, plan_.start, run));
        if (fs_.exists(path) || fs_.exists(path + ".part"))
            return Error{ErrorCode::invalid,
                         path +
                             " is there already: these options were recorded before; choose "
                             "another start or seed"};
        return {};
    }

    Result<void> feed(mux::OwnedSample first, const std::function<void(double)>& progress) {
        std::optional<mux::OwnedSample> sample = std::move(first);
        std::optional<mux::VideoTrack> track;
        std::uint64_t count = 0;
        while (sample) {
            if (track != file_.track()) {
                track = file_.track();
                session_.set_format(format_of(*track, file_.frame_duration()));
            }
            while (!queue_.wait_for_room(std::chrono::seconds(1))) {
            }
            HD_TRY(session_.add(to_frame(*sample)));
            if (++count % kFramesPerLook == 0) {
                HD_TRY(gather());
                if (progress && file_.size_bytes() > 0)
                    progress(static_cast<double>(file_.position_bytes()) /
                             static_cast<double>(file_.size_bytes()));
            }
            HD_ASSIGN(sample, file_.next());
        }
        return {};
    }

    ingest::Frame to_frame(const mux::OwnedSample& s) const {
        const BootTime start{plan_.start.us};
        return {.bytes = *s.bytes,
                .owner = s.bytes,
                .pts = start + s.pts,
                .dts = start + s.dts,
                .idr = s.idr,
                .cra = s.cra};
    }

    Result<void> gather() {
        for (DiskEvent& event : queue_.take_events()) {
            if (auto* ended = std::get_if<ClipEnded>(&event))
                report_.clips.push_back({ended->path, std::move(ended->summary)});
            if (const auto* failed = std::get_if<DiskFailed>(&event)) return failed->error;
        }
        return {};
    }

    const InputPlan& plan_;
    mux::MediaFile& file_;
    FileSystem& fs_;
    ClipDisk disk_;
    DiskThread queue_;
    DerivedIds ids_;
    ClipSession session_;
    InputReport report_;
};

}  // namespace

BootId input_boot_id() {
    constexpr std::string_view kName = "HALFDOORINPUT001";
    BootId id;
    std::copy(kName.begin(), kName.end(), id.bytes.begin());
    return id;
}

Result<InputReport> record_input(FileSystem& fs, const InputPlan& plan,
                                 const std::function<void(double)>& progress) {
    if (plan.settings.recipients.empty())
        return Error{ErrorCode::invalid, "no recipient: nobody could open what is recorded"};
    HD_ASSIGN(const auto file, mux::MediaFile::open(plan.file));
    InputRun run(fs, plan, *file);
    return run.record(progress);
}

}  // namespace hd::record
