"""Links of pages to other files of the repository, and texts that the site shares with them."""

import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
# Files outside of docs/ that are pages of their own.
PAGES: Final = {"README.md": "tour.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
PITCH: Final = "<!-- README: from the title to the first heading -->"
# What another page says below one of its headings, so that a number is written once.
_SECTION: Final = re.compile(r"^<!-- section: (?P<page>[\w./-]+)#(?P<name>[\w-]+) -->$", re.MULTILINE)
_LINK: Final = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\]|\\[\[\]])*\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
_FENCED: Final = re.compile(r"^([ ]*)(```+|~~~+).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_LANGUAGES: Final = {
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".toml": "toml",
    ".sh": "bash",
}


def read_pitch() -> str:
    """What the README says before its first heading, without its title."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n")[2]
    pitch = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0].strip()
    # Headings further down are not on the page that brings it in.
    return pitch.replace("](#", "](README.md#")


def complete_page(uri: str, text: str) -> str:
    """Brings in what a page shares with others, with links as they are written in docs/.

    Args:
        uri: Place of the page in the site.
        text: Its Markdown.

    Raises:
        LookupError: A section that it names is not there.
    """

    def read(match: re.Match[str]) -> str:
        page = match["page"]
        place = posixpath.normpath(f"docs/{page}")
        return place_links(place, uri, read_section(ROOT / place, match["name"]))

    text = _SECTION.sub(read, text)
    # The README's links are written from the root, those of the page from docs/.
    return text.replace(PITCH, place_links("README.md", uri, read_pitch())) if PITCH in text else text


def read_section(path: Path, name: str) -> str:
    """The text of a page below one of its headings, up to the next heading of any level.

    Args:
        path: The page.
        name: The heading as links name it.

    Raises:
        LookupError: There is no such heading.
    """
    from markdown.extensions.toc import slugify

    lines: list[str] | None = None
    for is_code, part in _cut_at_code(path.read_text(encoding="utf-8")):
        for line in [part] if is_code else part.splitlines(keepends=True):
            if not is_code and (head := re.match(r"#{1,6} +(.*)", line)):
                if lines is not None:
                    return "".join(lines).strip()
                lines = [] if slugify(head[1], "-") == name else None
            elif lines is not None:
                lines.append(line)
    if lines is None:
        message = f"{path} has no heading #{name}: a page brings in its section, so correct the name there."
        raise LookupError(message)
    return "".join(lines).strip()


def list_linked_files(page: str, text: str) -> set[str]:
    """Files of the repository outside of docs/ to which a page links, as paths from the root.

    Args:
        page: Path of the page from the root of the repository.
        text: Its Markdown.
    """
    found = set()

    def note(target: str, anchor: str) -> str:
        if not target.startswith("docs/") and target not in PAGES and (ROOT / target).exists():
            found.add(target)
        return target + anchor

    _map_links(page, text, note)
    return found


def place_links(page: str, uri: str, text: str) -> str:
    """Rewrites the links of a page to files of the repository so that they lead to their places in the site.

    Args:
        page: Path of the page from the root of the repository.
        uri: Its place in the site, such as `guides/predict.md`.
        text: Its Markdown.
    """
    folder = posixpath.dirname(uri)

    def place(target: str, anchor: str) -> str:
        if target.startswith("docs/"):
            found = target.removeprefix("docs/")
        elif (ROOT / target).exists():
            found = PAGES.get(target) or name_source_page(target)
        else:
            # Left as it is, so that the build names it.
            return target + anchor
        return posixpath.relpath(found, folder or ".") + anchor

    return _map_links(page, text, place)


def name_source_page(path: str) -> str:
    """Where the site shows a file or folder of the repository."""
    return f"source/{path.rstrip('/').removesuffix('.md')}.md"


def write_source_page(path: str) -> str:
    """Shows a file of the repository as it is, or the names in a folder."""
    place = ROOT / path
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path.rstrip('/')}\n\n"
    if place.is_dir():
        names = sorted(entry.name for entry in place.iterdir() if not entry.name.startswith(("__", ".")))
        return head + "\n".join(f"- `{name}`" for name in names) + "\n"
    return f"{head}~~~~~~{_LANGUAGES.get(place.suffix, 'text')}\n{place.read_text(encoding='utf-8').rstrip()}\n~~~~~~\n"


def _map_links(page: str, text: str, change: Callable[[str, str], str]) -> str:
    folder = posixpath.dirname(page)

    def replace(match: re.Match[str]) -> str:
        target, sign, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z][a-z+.-]*:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        return f"{match[1]}{change(path, sign + anchor)}{match[3]}"

    return "".join(part if is_code else _replace_links(part, replace) for is_code, part in _cut_at_code(text))


def _replace_links(text: str, replace: Callable[[re.Match[str]], str]) -> str:
    # Code may stand within the words of a link, but a link within code is none.
    code = [match.span() for match in _INLINE.finditer(text)]

    def replace_link(match: re.Match[str]) -> str:
        is_code = any(start <= match.start() and match.end() <= end for start, end in code)
        return match[0] if is_code else replace(match)

    return _LINK.sub(replace_link, text)


def _cut_at_code(text: str) -> Iterable[tuple[bool, str]]:
    place = 0
    for match in _FENCED.finditer(text):
        yield False, text[place : match.start()]
        yield True, match[0]
        place = match.end()
    yield False, text[place:]
