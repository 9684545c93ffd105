#!/usr/bin/env python3
"""House rules that a machine defends: the include table, foreign headers per room, banned calls,
file and function length, leftovers, links in the docs.

usage: lint.py [ROOT]      prints "file:line: what is wrong; what to do instead"; exit 1 if anything is.
The rules are data at the top; tests/lint/test_lint.py shows each of them red.
"""
import pathlib
import re
import sys

# Which of our rooms a room may include, besides itself (docs/architecture.md has the same table).
INDEX = ["index/base", "index/journal", "index/seal", "index/clip", "index/store"]
ROOMS = {
    "index/base": [],
    "index/journal": ["index/base"],
    "index/seal": ["index/base"],
    "index/clip": ["index/base", "index/journal", "index/seal"],
    "index/store": ["index/base", "index/journal", "index/seal", "index/clip"],
    "pipelines/link": INDEX[:4],
    "pipelines/mux": INDEX[:4] + ["pipelines/link"],
    "pipelines/ingest": INDEX[:4] + ["pipelines/link"],
    "pipelines/record": INDEX[:4] + ["pipelines/link", "pipelines/mux", "pipelines/ingest"],
    "gateway/config": INDEX + ["pipelines/link"],
    "gateway/ledger": INDEX,
    "gateway/consent": INDEX + ["gateway/ledger"],
    "gateway/wire": INDEX + ["gateway/config"],
    "gateway/gate": INDEX + ["gateway/wire", "gateway/config", "gateway/ledger", "gateway/consent"],
    "gateway/daemon": INDEX + ["pipelines/link", "gateway/config", "gateway/ledger",
                               "gateway/consent", "gateway/wire"],
}
ABOVE = ("tools", "tests")  # may include every room; tests also tools; nothing includes tests

# Which rooms may include a foreign library. POSIX and the standard library are open to all.
FOREIGN = [
    (r"gst/|glib|gio/", ["pipelines/ingest", "tools", "tests"]),
    (r"libav|libsw", ["pipelines/mux", "tools", "tests"]),
    (r"rocksdb/", ["index/store", "tools/bench", "tests"]),
    (r"zmq", ["gateway/wire", "tools/bench", "tests"]),
    (r"nlohmann/", ["gateway/wire", "tools", "tests"]),
    (r"openssl/(ssl|err|x509v3)\.h", ["pipelines/ingest", "tests"]),
    (r"sodium|openssl/(?!ssl\.h|err\.h|x509v3\.h)", ["index/base", "index/seal", "tests"]),
    (r"seccomp", ["index/base"]),
    (r"toml\+\+|toml\.hpp", ["gateway/config", "tests"]),
    (r"spdlog/", ["index/base"]),
    (r"tl/expected", ["index/base"]),
    (r"CLI/", ["tools", "gateway/daemon", "gateway/gate", "pipelines/record", "tests"]),
    (r"doctest/", ["tests"]),
    (r"sqlite3", ["tools/bench"]),
]

# Calls that have a room of their own: pattern, where they are right, what to use elsewhere.
BANNED = [
    (r"\bsystem_clock::now\(", ["tools/bench", "tests"], "take a hd::Clock&"),
    (r"\bsleep_for\(|\busleep\(|[^_\w]sleep\(\d", ["tools", "tests"], "use Clock::sleep_until or a poll timeout"),
    (r"\bstd::thread\b", ["gateway/daemon", "pipelines/record", "pipelines/ingest", "tools", "tests"],
     "rooms are passive: let gateway/daemon or the recorder start threads"),
    (r"\bstd::cout\b|\bstd::cerr\b", ["tests"], "use hd::log, or fmt::print in programs"),
    (r"\bnew [A-Za-z_:]+[({;<]", ["tests/support"], "own it with a unique_ptr"),
    (r"(^|[^=] )\bdelete [a-z]", [], "own it with a unique_ptr"),
    (r"\bassert\(", [], "HD_CHECK for our own mistakes, Result for everything else"),
    (r"\bstrcpy\(|\bsprintf\(|\bgets\(", [], "fmt or std::string"),
    (r"\bsystem\(", ["tests"], "posix_spawn with an argument list"),
    (r"\brand\(\)|\bsrand\(", [], "hd::random_bytes, or a seeded std::mt19937_64 in tests"),
]
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"/work/(main|shared)|/tmp/hd\b|/home/[a-z]+/")
MAX_FILE_LINES = 500      # aim 300; past 500 a file needs a reason in LONG_FILES
LONG_FILES = {}
MAX_README_LINES = 100
SOURCE = (".cpp", ".hpp")


def room_of(path):
    parts = path.split("/")
    if parts[0] in ABOVE:
        return "/".join(parts[:2]) if len(parts) > 2 else parts[0]
    return "/".join(parts[:2])


def within(room, allowed):
    return any(room == a or room.startswith(a + "/") for a in allowed)


def check_includes(path, lines):
    room = room_of(path)
    for number, line in enumerate(lines, 1):
        own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if own:
            yield from check_own(path, room, number, own.group(1))
        foreign = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if foreign:
            for pattern, allowed in FOREIGN:
                if re.match(pattern, foreign.group(1)) and not within(room, allowed):
                    yield number, f"<{foreign.group(1)}> belongs to {', '.join(allowed)}; go through that room"


def check_own(path, room, number, target):
    if "/" not in target:
        yield number, f'"{target}": include ours by full path from the root'
        return
    other = room_of(target)
    if other == room or room.startswith("tests"):
        return
    if room.startswith("tools"):
        if other.startswith("tests"):
            yield number, "tools must not include from tests"
        return
    if other not in ROOMS.get(room, []):
        yield number, f"{room} may not include {other} (include table, docs/architecture.md)"


def strip_comments_and_strings(line):
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return line.split("//")[0]


def check_text(path, lines):
    room = room_of(path)
    for number, line in enumerate(lines, 1):
        code = strip_comments_and_strings(line)
        for pattern, allowed, instead in BANNED:
            if re.search(pattern, code) and not within(room, allowed):
                yield number, f"{re.search(pattern, code).group(0).strip()} is not for {room}: {instead}"
        if LEFTOVER.search(line) and "lint" not in path:
            yield number, "leftover mark: do it or write an issue"
        if MACHINE_PATH.search(line) and "lint" not in path:
            yield number, "path of one machine: use an option, an environment variable or a relative path"
    if len(lines) > LONG_FILES.get(path, MAX_FILE_LINES):
        yield len(lines), f"{len(lines)} lines: split it (limit {MAX_FILE_LINES}, aim 300)"


def check_header(path, lines):
    if path.endswith(".hpp"):
        if not any(line.startswith("#pragma once") for line in lines[:60]):
            yield 1, "header without #pragma once"
        if not lines or not lines[0].startswith("//"):
            yield 1, "a header begins with its purpose in a comment"


def check_markdown(root, path, lines):
    if path == "README.md" and len(lines) > MAX_README_LINES:
        yield len(lines), f"README has {len(lines)} lines; a newcomer wants at most {MAX_README_LINES}"
    for number, line in enumerate(lines, 1):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            if not (root / path).parent.joinpath(target).exists():
                yield number, f"dead link {target}"
        if MACHINE_PATH.search(line):
            yield number, "path of one machine in the docs"


def check_file(root, path):
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if path.endswith(SOURCE):
        yield from check_includes(path, lines)
        yield from check_text(path, lines)
        yield from check_header(path, lines)
    elif path.endswith(".md"):
        yield from check_markdown(root, path, lines)


def check_top_level(root, names):
    allowed = {"meson.build", "meson_options.txt", "README.md", "LICENSE", "CHANGELOG.md", "gateway",
               "pipelines", "index", "tools", "tests", "docs"}
    for name in sorted(names):
        if name not in allowed and not name.startswith((".", "build")):
            yield f"{name}:1: not one of the top-level entries (see docs/architecture.md)"


def files_of(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        top = relative.split("/")[0]
        if path.is_file() and not top.startswith((".git", "build")):
            yield relative


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    findings = list(check_top_level(root, {p.name for p in root.iterdir()}))
    checked = 0
    for path in files_of(root):
        checked += 1
        findings += [f"{path}:{number}: {what}" for number, what in check_file(root, path)]
    print("\n".join(findings))
    print(f"lint: {checked} files, {len(findings)} findings")
    return 1 if findings or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
