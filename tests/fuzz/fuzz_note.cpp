// C2SP signed notes and verifier keys, as anybody may send them.
//
// Invariants checked:
// - parsing never crashes, and what parses is written back as the same bytes
// - no random input verifies under a fixed key
// - the text of a parsed note is a valid note text; a card that parses is canonical
#include <cstdlib>

#include "gateway/ledger/card.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hd;
    const std::string_view text = as_text({data, size});
    if (const auto key = ledger::parse_vkey(text); key && ledger::to_vkey(*key) != text)
        std::abort();
    const auto note = ledger::parse_note(text);
    if (!note) return 0;
    if (to_string(*note) != text) std::abort();
    if (!ledger::check_note_text(note->text)) std::abort();
    const ledger::NoteKey nobody{"nobody", {}};
    if (ledger::verify_single(*note, nobody)) std::abort();
    if (const auto card = ledger::parse_card(text))
        if (ledger::card_text(card->card) != note->text || card->bytes != text) std::abort();
    return 0;
}
