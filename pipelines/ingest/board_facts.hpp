// What the kernel says about this board.
#pragma once

#include <functional>

#include "index/base/files.hpp"
#include "pipelines/ingest/encoder_choice.hpp"

namespace hd::ingest {

// Asks a V4L2 driver with VIDIOC_QUERYCAP: empty if it encodes from memory to memory, else what is
// wrong.
std::string v4l2_defect(const std::string& node);

// Never fails: what cannot be read is not there. `defect`: v4l2_defect, or a test's.
BoardFacts read_board_facts(FileSystem& files,
                            const std::function<std::string(const std::string&)>& defect);

}  // namespace hd::ingest
