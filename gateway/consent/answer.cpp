#include "gateway/consent/answer.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::consent {
namespace {

using ledger::Field;
using ledger::FieldReader;
using ledger::TextForm;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kBucket = kCoverageBucketS * kSecond;
// A day of quarters is far beyond a window of 12 hours.
constexpr std::size_t kMaxBuckets = 96;
constexpr std::size_t kLabelChars = 8;

std::int64_t floor_to(std::int64_t us, std::int64_t unit) {
    return us - ((us % unit) + unit) % unit;
}
std::int64_t ceil_to(std::int64_t us, std::int64_t unit) { return floor_to(us + unit - 1, unit); }

bool may_ask_about(const Policy& policy, const CameraId& camera) {
    return std::find(policy.cameras.begin(), policy.cameras.end(), camera) != policy.cameras.end();
}

TimeSpan intersection(TimeSpan a, TimeSpan b) {
    return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

// Clips of cameras that may be asked about, cut to the window; in full, whatever the level.
std::vector<ClipSpan> clips_in_window(const AnswerInput& input) {
    std::vector<ClipSpan> out;
    for (const ClipSpan& clip : input.clips) {
        const TimeSpan part = intersection(clip.span, input.request.window);
        if (!part.empty() && may_ask_about(input.policy, clip.camera))
            out.push_back({clip.camera, clip.clip, part});
    }
    return out;
}

std::string clip_label(const AnswerInput& input, const ClipId& clip) {
    ByteWriter message;
    message.raw("halfdoor-label/v1\n");
    message.raw(input.request_hash);
    message.raw(clip.bytes);
    const Digest mac = hmac_sha256(input.hub_secret, message.view());
    return to_hex(ByteView(mac).first(kLabelChars / 2));
}

void tell_coverage(const std::vector<ClipSpan>& clips, TimeSpan window, Answer& answer) {
    answer.coverage_from = {floor_to(window.begin.us, kBucket)};
    const std::int64_t end = ceil_to(window.end.us, kBucket);
    const auto count = static_cast<std::size_t>((end - answer.coverage_from.us) / kBucket);
    answer.coverage.assign(std::min(count, kMaxBuckets), false);
    for (std::size_t i = 0; i < answer.coverage.size(); ++i) {
        const WallTime begin{answer.coverage_from.us + static_cast<std::int64_t>(i) * kBucket};
        const TimeSpan bucket{begin, {begin.us + kBucket}};
        answer.coverage[i] = std::any_of(
            clips.begin(), clips.end(), [&](const ClipSpan& c) { return c.span.overlaps(bucket); });
    }
}

void tell_clips(const AnswerInput& input, const std::vector<ClipSpan>& clips, Answer& answer) {
    for (const ClipSpan& clip : clips)
        answer.clips.push_back(
            {clip_label(input, clip.clip),
             {{floor_to(clip.span.begin.us, kSecond)}, {ceil_to(clip.span.end.us, kSecond)}}});
    // By time, then by label: the order tells nothing about cameras.
    std::sort(answer.clips.begin(), answer.clips.end(), [](const auto& a, const auto& b) {
        return std::tuple(a.span.begin, a.span.end, a.label) <
               std::tuple(b.span.begin, b.span.end, b.label);
    });
    answer.cut = answer.clips.size() > kMaxAnswerClips;
    if (answer.cut) answer.clips.resize(kMaxAnswerClips);
}

std::string answer_text(const Answer& a) {
    std::string out =
        fmt::format("{}\nhub {}\nrequest {}\nreceived {}\n", kAnswerFormat, to_string(a.hub),
                    to_hex(a.request), ledger::to_seconds_text(a.received));
    if (!a.coverage.empty()) {
        out += fmt::format("coverage {} ", ledger::to_seconds_text(a.coverage_from));
        for (const bool bit : a.coverage) out.push_back(bit ? '1' : '0');
        out.push_back('\n');
    }
    for (const AnswerClip& c : a.clips)
        out += fmt::format("clip {} {} {}\n", c.label, c.span.begin.us / kSecond,
                           c.span.length().count() / kSecond);
    if (a.cut) out += "cut yes\n";
    return out;
}

Result<void> read_coverage(FieldReader& in, Answer& out) {
    HD_ASSIGN(const Field field, in.take("coverage"));
    const auto parts = ledger::split(field.value, ' ');
    if (parts.size() != 2 || parts[1].empty() || parts[1].size() > kMaxBuckets)
        return in.bad("must be a time and up to 96 digits 0 or 1");
    const auto from = ledger::parse_seconds_text(parts[0]);
    if (!from || from->us % kBucket != 0) return in.bad("must begin on a quarter of an hour");
    out.coverage_from = *from;
    for (const char c : parts[1]) {
        if (c != '0' && c != '1') return in.bad("must be digits 0 or 1");
        out.coverage.push_back(c == '1');
    }
    return {};
}

Result<void> read_clip(FieldReader& in, Answer& out) {
    HD_ASSIGN(const Field field, in.take("clip"));
    const auto parts = ledger::split(field.value, ' ');
    if (parts.size() != 3 || parts[0].size() != kLabelChars || !from_hex(parts[0]))
        return in.bad("must be a label, begin in seconds since 1970, and length in seconds");
    const auto begin = ledger::parse_number(parts[1], 253'402'300'799);
    const auto length = ledger::parse_number(parts[2], kMaxWindowS + 2);
    if (!begin || !length) return in.bad("must be a label, begin and length in whole seconds");
    const WallTime from{static_cast<std::int64_t>(*begin) * kSecond};
    out.clips.push_back(
        {std::string(parts[0]), {from, {from.us + static_cast<std::int64_t>(*length) * kSecond}}});
    return out.clips.size() > kMaxAnswerClips ? Result<void>(in.bad("too many clips"))
                                              : Result<void>();
}

}  // namespace

Answer decide_answer(const AnswerInput& input) {
    Answer answer{.hub = input.policy.hub,
                  .request = input.request_hash,
                  .received = {floor_to(input.received.us, kSecond)}};
    // All the work is done for every level, so that its time says nothing.
    const std::vector<ClipSpan> clips = clips_in_window(input);
    Answer full = answer;
    tell_coverage(clips, input.request.window, full);
    tell_clips(input, clips, full);

    const bool inside = input.policy.cell && touches_cell(input.request.area, *input.policy.cell);
    const Level level = input.who != nullptr ? input.who->level : Level::silent;
    if (!inside || clips.empty()) return answer;
    if (level == Level::coverage) {
        answer.coverage_from = full.coverage_from;
        answer.coverage = std::move(full.coverage);
    } else if (level == Level::clips) {
        answer.clips = std::move(full.clips);
        answer.cut = full.cut;
    }
    return answer;
}

std::string sign_answer(const Answer& answer, const ledger::NoteSigner& hub) {
    std::string text = answer_text(answer);
    // "pad " + dots + newline bring the whole note, signature line included, to its one size.
    const std::size_t rest = to_string(ledger::Note{"", {hub.sign("")}}).size();
    HD_CHECK(text.size() + rest + 6 <= kAnswerBytes);
    text += "pad " + std::string(kAnswerBytes - text.size() - rest - 5, '.') + "\n";
    std::string note = ledger::sign_note(text, hub);
    HD_CHECK(note.size() == kAnswerBytes);
    return note;
}

Result<Answer> parse_answer(std::string_view bytes, const ledger::NoteKey& hub) {
    if (bytes.size() != kAnswerBytes)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: must be {} bytes", kAnswerFormat, kAnswerBytes)};
    HD_ASSIGN(const ledger::Note note, ledger::parse_note(bytes));
    if (const auto valid = ledger::verify_single(note, hub); !valid)
        return valid.error().in(kAnswerFormat);
    HD_ASSIGN(FieldReader in, FieldReader::open(note.text, kAnswerFormat, TextForm::signed_text));
    Answer out;
    HD_ASSIGN(Field field, in.take("hub"));
    HD_ASSIGN(out.hub, parse_id<HubId>(field.value, "hub"));
    HD_ASSIGN(field, in.take("request"));
    const auto request = ledger::parse_digest(field.value);
    if (!request) return in.bad(request.error().what);
    out.request = *request;
    HD_ASSIGN(field, in.take("received"));
    const auto received = ledger::parse_seconds_text(field.value);
    if (!received) return in.bad(received.error().what);
    out.received = *received;
    if (in.next_is("coverage")) HD_TRY(read_coverage(in, out));
    while (in.next_is("clip")) HD_TRY(read_clip(in, out));
    if (in.next_is("cut")) {
        HD_ASSIGN(field, in.take("cut"));
        if (field.value != "yes") return in.bad("must be yes");
        out.cut = true;
    }
    HD_ASSIGN(field, in.take("pad"));
    HD_TRY(in.finish());
    const std::string exact =
        answer_text(out) + "pad " + std::string(field.value.size(), '.') + "\n";
    if (const auto form = ledger::require_canonical(note.text, exact); !form)
        return form.error().in(kAnswerFormat);
    return out;
}

}  // namespace hd::consent
