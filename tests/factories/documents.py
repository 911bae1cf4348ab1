"""What documents of the repository say: their code blocks, commands, links and headings, for the tests of the docs."""

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<mark>```+|~~~+) *(?P<language>[\w+-]*).*?\n(?P<code>.*?)^(?P=indent)(?P=mark) *$", re.M | re.S
)
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|<(?:img|a)[^>]*?(?:src|href)=\"([^\"]+)\""
)
_PLACEHOLDER = re.compile(r"\.\.\.|…|[A-Z][A-Z_-]*|\[.*\]")


@dataclass(frozen=True)
class Block:
    """A block of code in a document.

    Attributes:
        language: Name behind the fence; empty where there is none.
        code: What stands between the fences, without their indentation.
        line: Line of the document on which the code begins.
    """

    language: str
    code: str
    line: int


def list_documents() -> list[Path]:
    """All documents that people read, in Markdown."""
    folders = ("docs", "deploy", "dockerfiles", "benchmarks", "notebooks", "tests", ".github")
    found = [*ROOT.glob("*.md"), *(path for name in folders for path in (ROOT / name).rglob("*.md"))]
    return sorted(found)


def read_blocks(text: str) -> Iterator[Block]:
    """Yields the fenced blocks of code of a document."""
    for match in _FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        yield Block(match["language"], code, text.count("\n", 0, match.start("code")) + 1)


def remove_blocks(text: str) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", text)


def read_links(text: str) -> list[str]:
    """Targets of links and pictures, those inside of code left out."""
    plain = _INLINE.sub("", remove_blocks(text))
    return [match[1] or match[2] for match in _LINK.finditer(plain)]


def read_inline_code(text: str) -> list[str]:
    """What stands between backticks in the sentences of a document."""
    return [" ".join(match[2].split()) for match in _INLINE.finditer(remove_blocks(text))]


def read_anchors(text: str) -> set[str]:
    """Names by which links reach the headings of a document, as GitHub forms them."""
    anchors: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.*?) *#*$", remove_blocks(text), re.M):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        anchors.add(next(name for name in _number(slug) if name not in anchors))
    return anchors


def _number(slug: str) -> Iterator[str]:
    yield slug
    yield from (f"{slug}-{place}" for place in itertools.count(1))


@dataclass(frozen=True)
class TypedCommand:
    """A command that a document shows.

    Attributes:
        words: The words behind `phytoscope`.
        is_whole: Whether it stands in a block, so that nothing is left out.
        is_mistake: Whether the document shows how it is refused.
    """

    words: list[str]
    is_whole: bool
    is_mistake: bool = False


def read_commands(text: str) -> Iterator[TypedCommand]:
    """Yields each command of phytoscope that stands in a block or between backticks."""
    for block in read_blocks(text):
        if block.language in ("", "text", "console", "bash", "sh", "shell"):
            yield from _read_lines(block.code)
    for line in re.findall(r"^ {4}((?:\$ )?phytoscope .*)$", remove_blocks(text), re.M):
        yield from _read_lines(line)
    for code in read_inline_code(text):
        if code.startswith("phytoscope "):
            yield from (TypedCommand(words, is_whole=False) for words in _read_line(code))


def _read_lines(code: str) -> Iterator[TypedCommand]:
    lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", code).splitlines()]
    has_prompts = any(line.startswith("$ ") for line in lines)
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        typed = line.removeprefix("$ ")
        is_ours = re.match(r"(\w+=\S+ +)*phytoscope( |$)", typed) or re.search(r"-m phytoscope ", typed)
        # What the Tab key completes is no command yet.
        if is_ours and line.startswith("$ ") == has_prompts and "<TAB>" not in line:
            for words in _read_line(re.sub(r"^.*-m (?=phytoscope )", "", typed)):
                yield TypedCommand(words, is_whole=True, is_mistake=after.startswith("Error:"))


def _read_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("&;<>") or (word == "|" and not words):
            break
        words.append(word)
    while words and words[0] != "phytoscope" and "=" in words[0]:
        words = words[1:]
    yield from _spread(words[1:])


def _spread(words: list[str]) -> Iterator[list[str]]:
    """`package show|verify PACKAGE` are two commands; a pipe into another program ends one."""
    options: list[list[str]] = []
    place = 0
    while place < len(words):
        if words[place] == "|" and options and place + 1 < len(words) and re.fullmatch(r"[a-z-]+", options[-1][-1]):
            options[-1].append(words[place + 1])
            place += 2
            continue
        if words[place] == "|":
            break
        options.append([words[place]])
        place += 1
    yield from (list(choice) for choice in itertools.product(*options))


def is_placeholder(word: str) -> bool:
    """Whether a reader is to put something of his own in place of a word: `DATA`, `...`, `[OPTIONS]`."""
    return _PLACEHOLDER.fullmatch(word) is not None
