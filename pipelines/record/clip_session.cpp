#include "pipelines/record/clip_session.hpp"

#include <algorithm>

#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/audio_fragment.hpp"

namespace hd::record {
namespace {

// Until two frames have said how far apart they are.
constexpr Micros kUnknownFrameDuration = std::chrono::milliseconds(40);

FrameFacts facts_of(const ingest::Frame& f) {
    return {.pts = f.pts, .dts = f.dts, .key = f.key(), .bytes = f.bytes.size()};
}

clip::PieceStart start_of(const ingest::Frame& f) {
    if (f.idr) return clip::PieceStart::idr;
    return f.cra ? clip::PieceStart::cra : clip::PieceStart::none;
}

// What the clip says about itself beside its fixed fields: docs/formats/clip.md.
std::vector<clip::Extension> extensions_of(const AudioQueue& audio, const ingest::Frame& first,
                                           const std::optional<clip::KeyDistance>& key) {
    std::vector<clip::Extension> out;
    if (audio.track()) out.push_back(clip::audio_extension(audio.words()));
    if (!first.key() && key) out.push_back(clip::key_extension(*key));
    return out;
}

}  // namespace

struct ClipSession::Clip {
    clip::ClipHeader header;
    Bytes header_bytes;
    TimeBase time;
    ingest::StreamFormat format;
    std::vector<seal::Recipient> recipients;
    std::unique_ptr<mux::FragmentWriter> writer;
    std::optional<mux::AudioTrack> audio;  // as the init piece describes it
    bool activity = false;                 // the plan's word when it began
    OpenClip cut;
    BootTime first_dts;
    Micros usual_duration = kUnknownFrameDuration;
    std::uint32_t next_sequence = 0;

    // The open piece: frames that the writer has, and the newest one, which waits for the next.
    std::optional<ingest::Frame> pending;
    std::uint32_t piece_frames = 0;
    clip::PieceStart piece_start = clip::PieceStart::none;
    BootTime piece_begin, piece_end;
};

ClipSession::ClipSession(SessionPlan plan, Wiring wiring)
    : plan_(std::move(plan)), wiring_(std::move(wiring)) {}
ClipSession::~ClipSession() = default;

void ClipSession::begin_run(RunId run) {
    if (clip_) end(clip::EndReason::stream_lost, "a new run began").ignore();
    run_ = run;
    format_.reset();
    last_key_.reset();
    audio_.begin({});
    needs_key_ = true;
}

void ClipSession::set_audio(const ingest::AudioFormat& format) { audio_.begin(format); }

void ClipSession::set_format(const ingest::StreamFormat& format) { format_ = format; }

const TimeBase* ClipSession::clip_time() const { return clip_ ? &clip_->time : nullptr; }

void ClipSession::want_cut(clip::EndReason reason) {
    if (clip_) clip_->cut.wanted = reason;
}

void ClipSession::replace_plan(SessionPlan plan) { plan_ = std::move(plan); }

void ClipSession::abandon(ClipId clip) {
    if (!clip_ || clip_->header.clip != clip) return;
    clip_.reset();
    needs_key_ = true;
}

Result<void> ClipSession::add(const ingest::Frame& frame) {
    auto done = add_frame(frame);
    if (!done && clip_) {
        clip_->pending.reset();  // It may be what could not be written.
        close_clip(clip::EndReason::stream_lost, "the stream could not be recorded").ignore();
    }
    return done;
}

Result<void> ClipSession::add_frame(const ingest::Frame& frame) {
    if (!format_) return Error{ErrorCode::invalid, "a frame before its stream's format"};
    const FrameFacts facts = facts_of(frame);
    bool begins_piece = false;
    if (clip_) {
        HD_TRY(settle_pending(frame.dts));
        Decision decision = decide_cut(clip_->cut, facts, plan_.limits);
        if (clip_->format != *format_) decision = {Cut::clip, clip::EndReason::codec_change};
        if (decision.cut == Cut::clip) {
            meet(frame.pts);
            HD_TRY(close_clip(decision.reason, ""));
        }
        if (decision.cut == Cut::piece) {
            HD_TRY(close_piece());
            begins_piece = true;
        }
    }
    if (!clip_) {
        if (needs_key_ && !frame.key()) {
            ++skipped_;
            return {};
        }
        HD_TRY(open_clip(frame));
        needs_key_ = false;
    } else {
        take_frame(clip_->cut, facts, begins_piece);
    }
    Clip& c = *clip_;
    if (frame.key()) last_key_ = KeyPlace{frame.pts, c.header.clip};
    if (c.piece_frames == 0) {
        c.piece_begin = c.piece_end = frame.pts;
        c.piece_start = start_of(frame);
        if (c.activity && frame.key()) wiring_.activity->offer(frame, c.format, run_);
    }
    ++c.piece_frames;
    ++frames_;
    c.pending = frame;
    return {};
}

Result<void> ClipSession::open_clip(const ingest::Frame& first) {
    auto c = std::make_unique<Clip>();
    c->time = wiring_.time_base();
    c->format = *format_;
    c->recipients = plan_.recipients;
    c->cut = begin_clip(facts_of(first));
    c->first_dts = first.dts;
    c->audio = audio_.track();
    c->activity = plan_.activity && wiring_.activity != nullptr;
    if (format_->frame_duration > Micros(0)) c->usual_duration = format_->frame_duration;
    std::optional<clip::KeyDistance> key;
    if (last_key_) key = clip::KeyDistance{last_key_->clip, first.pts - last_key_->pts};
    c->header = clip::ClipHeader{.clip = wiring_.new_clip_id(),
                                 .camera = plan_.camera,
                                 .hub = plan_.hub,
                                 .run = run_,
                                 .boot = c->time.boot,
                                 .boot_begin = first.pts,
                                 .utc_begin = c->time.to_wall(first.pts),
                                 .quality = c->time.quality,
                                 .codec = format_->rfc6381,
                                 .width = format_->width,
                                 .height = format_->height,
                                 .encoder = format_->encoder,
                                 .encoder_why = format_->encoder_why,
                                 .policy_number = plan_.policy_number,
                                 .policy_hash = plan_.policy_hash,
                                 .extensions = extensions_of(audio_, first, key)};
    c->header_bytes = clip::encode_header(c->header);
    HD_ASSIGN(c->writer,
              mux::FragmentWriter::begin(track_of(*format_), first.pts - first.dts, c->audio));
    if (!wiring_.disk.offer(BeginClip{c->header}))
        return Error{ErrorCode::exhausted, "the disk queue is closed"};
    clip_ = std::move(c);
    const clip::PieceIdentity init{.camera = plan_.camera,
                                   .clip = clip_->header.clip,
                                   .sequence = clip_->next_sequence++,
                                   .kind = clip::PieceKind::init,
                                   .boot_begin = first.pts,
                                   .boot_end = first.pts,
                                   .utc_begin = clip_->header.utc_begin,
                                   .utc_end = clip_->header.utc_begin,
                                   .frames = 0,
                                   .start = clip::PieceStart::none,
                                   .extensions = {}};
    const auto done = hand_over(init, clip_->writer->init());
    clip_->writer->clear();
    return done;
}

// The newest frame goes to the writer, now that it is known how long it lasts.
Result<void> ClipSession::settle_pending(std::optional<BootTime> next_dts,
                                         std::optional<BootTime> now) {
    Clip& c = *clip_;
    if (!c.pending) return {};
    const ingest::Frame frame = std::move(*c.pending);
    c.pending.reset();
    const Micros duration = frame_duration(next_dts ? *next_dts - frame.dts : Micros(0),
                                           c.usual_duration, plan_.longest_frame);
    if (next_dts) c.usual_duration = duration;
    c.piece_begin = std::min(c.piece_begin, frame.pts);
    // No clip claims more than the longest clip, even if its last picture stood for long.
    BootTime latest = c.cut.begin + clip::kMaxClipLength;
    // Nor does the last picture stand beyond the present: what comes next begins then at the
    // latest.
    if (now) latest = std::min(latest, std::max(*now, frame.pts + Micros(1)));
    c.piece_end = std::min(std::max(c.piece_end, frame.pts + duration), latest);
    last_end_ = std::max(last_end_.value_or(c.piece_end), c.piece_end);
    return c.writer->add({.bytes = frame.bytes,
                          .dts = frame.dts - c.first_dts,
                          .pts = frame.pts - c.first_dts,
                          .duration = duration,
                          .key = frame.key()});
}

// The next clip begins at `next`, with no frame between: the two share that instant, whatever
// reordering does to the last picture's guessed end.
void ClipSession::meet(BootTime next) {
    Clip& c = *clip_;
    const bool follows = next >= c.piece_begin && next - c.piece_end <= c.usual_duration;
    if (!follows || c.piece_frames == 0 || next - c.cut.begin > clip::kMaxClipLength) return;
    c.piece_end = next;
    last_end_ = next;
}

Result<void> ClipSession::close_piece() {
    Clip& c = *clip_;
    if (c.piece_frames == 0) return {};
    HD_ASSIGN(const ByteView plain, c.writer->cut());
    const clip::PieceIdentity identity{.camera = plan_.camera,
                                       .clip = c.header.clip,
                                       .sequence = c.next_sequence++,
                                       .kind = clip::PieceKind::video,
                                       .boot_begin = c.piece_begin,
                                       .boot_end = c.piece_end,
                                       .utc_begin = c.time.to_wall(c.piece_begin),
                                       .utc_end = c.time.to_wall(c.piece_end),
                                       .frames = c.piece_frames,
                                       .start = c.piece_start,
                                       .extensions = {}};
    c.piece_frames = 0;
    const auto done = hand_over(identity, plain);
    c.writer->clear();
    HD_TRY(done);
    HD_TRY(close_audio());
    return close_activity(identity);
}

// What was heard until the end of the piece of video that was just closed.
Result<void> ClipSession::close_audio() {
    Clip& c = *clip_;
    const BootTime zero = c.header.boot_begin;
    // What is older than that is of no picture near it; see kSoundSlack of the daemon's header
    // desk.
    const auto units = audio_.take(std::max(zero, c.piece_begin) - mux::kAudioPreroll, c.piece_end);
    if (units.empty() || !c.audio || c.audio != audio_.track()) return {};
    std::vector<mux::AudioSample> samples;
    samples.reserve(units.size());
    for (const AudioQueue::Unit& u : units)
        samples.push_back({.bytes = u.bytes, .pts = u.pts - zero, .duration = u.duration});
    const BootTime end = units.back().pts + units.back().duration;
    const clip::PieceIdentity identity{.camera = plan_.camera,
                                       .clip = c.header.clip,
                                       .sequence = c.next_sequence++,
                                       .kind = clip::PieceKind::audio,
                                       .boot_begin = units.front().pts,
                                       .boot_end = end,
                                       .utc_begin = c.time.to_wall(units.front().pts),
                                       .utc_end = c.time.to_wall(end),
                                       .frames = static_cast<std::uint32_t>(units.size()),
                                       .start = clip::PieceStart::none,
                                       .extensions = {}};
    Bytes plain = mux::audio_fragment(*c.audio, identity.sequence, samples);
    ++c.cut.pieces;
    const auto done = hand_over(identity, plain);
    wipe(plain);
    return done;
}

// Behind each piece of video that begins with a key frame, whatever there is to say: what can be
// seen of it without a key follows from the video's own pieces.
Result<void> ClipSession::close_activity(const clip::PieceIdentity& video) {
    Clip& c = *clip_;
    if (!c.activity || video.start == clip::PieceStart::none) return {};
    clip::PieceIdentity identity = video;
    identity.sequence = c.next_sequence++;
    identity.kind = clip::PieceKind::activity;
    identity.frames = 0;
    identity.start = clip::PieceStart::none;
    Bytes plain = clip::encode_activity(wiring_.activity->take());
    ++c.cut.pieces;
    const auto done = hand_over(identity, plain);
    wipe(plain);
    return done;
}

Result<void> ClipSession::hand_over(const clip::PieceIdentity& identity, ByteView plain) {
    const Clip& c = *clip_;
    const seal::Stanza stanza =
        seal::make_piece_stanza(c.header_bytes, clip::encode_identity(identity));
    HD_ASSIGN(Bytes age_file, seal::seal(plain, c.recipients, {&stanza, 1}));
    if (!wiring_.disk.offer(WritePiece{identity, std::move(age_file)}))
        return Error{ErrorCode::exhausted, "the disk queue is closed"};
    return {};
}

Result<void> ClipSession::close_clip(clip::EndReason reason, std::string_view detail) {
    auto done = close_piece();
    clip_.reset();
    wiring_.disk.offer(EndClip{reason, std::string(detail)});
    return done;
}

Result<void> ClipSession::end(clip::EndReason reason, std::string_view detail,
                              std::optional<BootTime> now) {
    if (!clip_) return {};
    auto settled = settle_pending(std::nullopt, now);
    auto closed = close_clip(reason, detail);
    return settled ? closed : settled;
}

}  // namespace hd::record
