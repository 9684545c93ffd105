// Policy texts: the signed form, and drafts that people edited.
//
// Invariants checked:
// - parsing never crashes; a signed text that parses is canonical
// - a draft that parses gives a policy whose text parses to the same policy, in both forms
// - whatever parses keeps the rules, and its changes can be told
#include <cstdlib>

#include "gateway/consent/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hd;
    using namespace hd::consent;
    using ledger::TextForm;
    std::string_view text = as_text({data, size});
    // Corpus files are whole notes; the text of one is as good.
    const auto note = ledger::parse_note(text);
    if (note) text = note->text;
    if (const auto policy = parse_policy_text(text, TextForm::signed_text))
        if (to_text(*policy) != text) std::abort();
    const auto draft = parse_policy_text(text, TextForm::draft);
    if (!draft) return 0;
    if (!check_policy(*draft)) std::abort();
    const auto exact = parse_policy_text(to_text(*draft), TextForm::signed_text);
    const auto explained = parse_policy_text(to_draft(*draft), TextForm::draft);
    if (!exact || *exact != *draft || !explained || *explained != *draft) std::abort();
    if (!describe_changes(&*draft, *draft).empty()) std::abort();
    return 0;
}
