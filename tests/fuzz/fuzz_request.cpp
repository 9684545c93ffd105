// Request notes and private bodies, as a known requester may send them.
//
// Invariants checked:
// - parsing never crashes, and what parses is canonical: written back it gives the same text
// - rules decide about any parsed request without crashing, and an unsigned one is never taken in
// - an area that keeps the rules has a size within the bounds
#include <cstdlib>

#include "gateway/consent/request.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hd;
    using namespace hd::consent;
    const std::string_view text = as_text({data, size});
    if (const auto body = parse_private_body(text); body && to_text(*body) != text) std::abort();
    const auto request = parse_request(text);
    if (!request) return 0;
    const Request& r = request->request;
    if (to_text(r) != request->note.text || request->bytes != text) std::abort();
    if (check_area(r.area)) {
        const std::int64_t m2 = area_m2(r.area);
        if (m2 < kMinAreaM2 || m2 > kMaxAreaM2) std::abort();
        static_cast<void>(touches_cell(r.area, Cell{4071, -7401}));
    }
    static_cast<void>(breach_of_window(r.window, r.posted, 3600));
    static_cast<void>(breach_of_expiry(r.posted, r.expires, r.posted));
    Policy policy;
    policy.hub = r.hub;
    const PolicyRequester nobody{.name = "nobody", .note = {"nobody", {}}};
    const ledger::RequestBook book;
    const IntakeContext context{policy, nobody, book, r.posted, {}};
    if (judge_request(context, text, "").kind != Intake::Kind::breach) std::abort();
    return 0;
}
