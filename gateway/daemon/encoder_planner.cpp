#include "gateway/daemon/encoder_planner.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/wire/json.hpp"

namespace hd::daemon {

namespace {

constexpr std::uint64_t k1080p30 = 1920ull * 1080 * 30;
constexpr std::uint64_t kMega = 1'000'000;

std::vector<std::string> texts_of(const wire::Json& object, std::string_view key) {
    std::vector<std::string> out;
    for (const wire::Json& item : object.array_or_empty(key)) {
        if (const std::string* text = item.as_text()) out.push_back(*text);
    }
    return out;
}

bool is_software(const std::string& element) {
    return element == "x264enc" || element == "openh264enc";
}

bool has(const std::vector<std::string>& list, const std::string& value) {
    return std::ranges::find(list, value) != list.end();
}

// Those of `elements` that need not rest; what rests is added to `why`.
std::vector<std::string> fit_of(const std::vector<std::string>& elements, const EncoderWish& wish,
                                std::string& why) {
    std::vector<std::string> out;
    for (const std::string& element : elements) {
        const auto resting = wish.resting.find(element);
        if (resting == wish.resting.end()) {
            out.push_back(element);
        } else {
            why += fmt::format("; {}: {}", element, resting->second);
        }
    }
    return out;
}

struct Shares {
    const EncoderFacts& facts;
    EncoderShares out;

    link::EncoderGrant grant(const EncoderWish& wish);
};

link::EncoderGrant Shares::grant(const EncoderWish& wish) {
    EncoderUse& use = out.use;
    const std::uint64_t load = pixels_per_s(wish.report);
    std::string failed;
    std::vector<std::string> hardware = fit_of(facts.hardware, wish, failed);
    const std::vector<std::string> software = fit_of(facts.software, wish, failed);
    const bool fits = use.hardware_pixels_per_s + load <= facts.hardware_pixels_per_s;
    if (!hardware.empty() && fits) {
        use.hardware_pixels_per_s += load;
        ++use.hardware_cameras;
        hardware.insert(hardware.end(), software.begin(), software.end());
        return {hardware, facts.why + failed};
    }
    std::string why = facts.why;
    if (!hardware.empty()) {
        why = fmt::format(
            "software, the hardware encoder is taken: {} of {} Mpixel/s are in use, {} are asked "
            "for",
            use.hardware_pixels_per_s / kMega, facts.hardware_pixels_per_s / kMega, load / kMega);
    }
    // Before its first picture nobody knows what a camera will cost: it is let in on trial.
    const std::uint64_t known = wish.report.width > 0 ? load : 0;
    const bool room = use.software_pixels_per_s + known <= facts.software_pixels_per_s;
    if (!software.empty() && (room || use.software_cameras == 0)) {
        use.software_pixels_per_s += known;
        ++use.software_cameras;
        if (!room) why += "; more than this machine can do, pictures are left out";
        return {software, why + failed};
    }
    ++use.refused_cameras;
    if (software.empty()) return {{}, why + failed};
    return {{},
            fmt::format("this machine encodes {} Mpixel/s in software, all of it is taken{}",
                        facts.software_pixels_per_s / kMega, failed)};
}

}  // namespace

Result<EncoderFacts> read_probe(std::string_view lines) {
    EncoderFacts out;
    bool chosen = false;
    while (!lines.empty()) {
        const std::size_t end = lines.find('\n');
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
        if (line.empty()) continue;
        HD_ASSIGN(const wire::Json json, wire::parse_json(line));
        const wire::Json* choice = json.find("choice");
        if (choice == nullptr) continue;
        chosen = true;
        for (const std::string& element : texts_of(*choice, "encoders")) {
            (is_software(element) ? out.software : out.hardware).push_back(element);
        }
        const auto number = [&](std::string_view key) {
            return static_cast<std::uint64_t>(std::max<std::int64_t>(0, choice->int_or(key, 0)));
        };
        out.why = choice->text_or("why", "");
        out.hardware_pixels_per_s = number("hardware_pixels_per_s");
        out.software_pixels_per_s = number("software_pixels_per_s");
        out.hardware_why = choice->text_or("hardware_why", "");
    }
    if (!chosen) return Error{ErrorCode::corrupt, "the probe of the encoders came to no end"};
    return out;
}

std::uint64_t pixels_per_s(const link::EncoderReport& report) {
    if (report.width == 0 || report.height == 0) return k1080p30;
    // Whole steps of 5 pictures a second, because what is measured trembles: a camera of 25 must
    // not ask for 30 now and then and lose its share, so a twenty-fifth more is still the same.
    const std::uint64_t measured = std::uint64_t{report.millihertz_in} * 96 / 100;
    const std::uint64_t rate = measured > 0 ? (measured + 4'999) / 5'000 * 5 : 30;
    return std::uint64_t{report.width} * report.height * rate;
}

EncoderShares share_encoders(const EncoderFacts& facts, const std::vector<EncoderWish>& wishes) {
    Shares shares{facts, {}};
    const auto rank = [&](const EncoderWish& w) {
        return has(facts.hardware, w.report.element) ? 0 : w.report.element.empty() ? 2 : 1;
    };
    std::vector<const EncoderWish*> order;
    order.reserve(wishes.size());
    for (const EncoderWish& wish : wishes) order.push_back(&wish);
    std::ranges::stable_sort(order, {}, [&](const EncoderWish* w) { return rank(*w); });
    for (const EncoderWish* wish : order) shares.out.grants[wish->camera] = shares.grant(*wish);
    return std::move(shares.out);
}

}  // namespace hd::daemon
