// What the kernel says about this board.
#pragma once

#include "index/base/files.hpp"
#include "pipelines/ingest/encoder_choice.hpp"

namespace hd::ingest {

// Never fails: what cannot be read is not there.
BoardFacts read_board_facts(FileSystem& files);

}  // namespace hd::ingest
