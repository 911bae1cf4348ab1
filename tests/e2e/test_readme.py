"""The README and the tutorials, followed to the letter: every block is run in a fresh folder, or says why not.

The folders and tables that the pages name (`leaves/`, `plants.csv`, `photos/` ...) are drawn, small and few. A page of
your own is tested by putting it into `PAGES` or `FOLLOWED`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tour import PORT, Block, Reader, draw_leaves, draw_plants, find_port, read_blocks, walk, write_times
from phytoscope.schema.config import ServeConfig

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "docs/tutorials/disease.md",
    "docs/tutorials/biomass.md",
    "docs/tutorials/few_photos.md",
    "docs/tutorials/cluster.md",
    "docs/de/schnellstart.md",
]
_SIZE_PX, _LEAVES, _PLANTS = 128, 105, 80
_NUMBER = re.compile(r"[\u2212-]?\d[\d,]*(\.\d+)?")
# `phytoscope inspect` found something as bad as an error: the page says so, and that the data may be used all the same.
_FINDINGS = 3


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in read_blocks(ROOT / page)]


def name_block(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """What a reader has before the first command."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_leaves(folder, _LEAVES, _SIZE_PX)
    draw_plants(folder, _PLANTS, _SIZE_PX)
    return folder


@pytest.fixture
def reader(drawn, tmp_path) -> Reader:
    """Somebody with photographs and tables, in a folder of their own."""
    shutil.copytree(drawn, tmp_path / "reader")
    # Pages whose data a script of docs/ draws are followed in a checkout.
    (tmp_path / "reader" / "docs").symlink_to(ROOT / "docs")
    return Reader(tmp_path / "reader", port=find_port(), environment=dict(os.environ))


def compare_loosely(shown: str, output: str) -> str | None:
    """The first shown line that the output does not hold, in its order; numbers, widths and `...` are free."""
    place = 0
    words = " ".join(output.split())
    for line in filter(None, map(str.strip, shown.splitlines())):
        if line == "...":
            continue
        parts = [re.escape(part) for part in _NUMBER.sub("\0", " ".join(line.split())).split("\0")]
        found = re.compile(_NUMBER.pattern.join(parts).replace(r"\.\.\.", ".*?")).search(words, place)
        if found is None:
            return line
        place = found.end()
    return None


@pytest.mark.parametrize("block", all_blocks(), ids=name_block)
def test_each_block_is_known(block) -> None:
    """A block is commands, Python, or the output of the block before it; what is not run says why."""
    if block.not_run is not None:
        assert len(block.not_run.split()) >= 3, "say why it is not run"
    elif block.language not in {"bash", "python"}:
        before = [other for other in read_blocks(block.page) if other.line < block.line]
        assert block.language == "text", "say bash, python or text, or why it is not run: <!-- not run: reason -->"
        assert before, "output stands below its commands"
        assert before[-1].language in {"bash", "python"}, "output stands right below its commands"
    assert not re.search(r"^\s*(cd|export)\s", block.text, flags=re.MULTILINE), "the next block would not know of it"


@pytest.mark.parametrize(
    "block", [block for block in all_blocks() if block.language == "bash" and block.not_run], ids=name_block
)
def test_what_is_not_run_parses(block) -> None:
    """The shell can read it, and its make targets and extras exist; `contract/test_docs.py` checks the commands."""
    subprocess.run(["/bin/bash", "-n"], input=block.text, text=True, check=True, capture_output=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for words in (shlex.split(line, comments=True) for line in block.text.splitlines() if line.strip()):
        if words[0] == "make":
            assert all(re.search(rf"^{word}:", makefile, flags=re.MULTILINE) for word in words[1:])
        for extras in re.findall(r"\[([a-z0-9,]+)\]", " ".join(words)) if "pip" in words[0] else []:
            assert all(re.search(rf"^{extra} = \[", project, flags=re.MULTILINE) for extra in extras.split(","))


def follow(page: str, reader: Reader) -> int:
    """Does all that a page says and compares what it shows; gives the number of blocks."""
    path = ROOT / page
    shown = {before.line: after for before, after in zip(read_blocks(path), read_blocks(path)[1:], strict=False)}
    count = 0
    for block, outcome in walk(path, reader):
        place = f"{name_block(block)}: {block.text}\n{outcome.output}"
        allowed = {0, _FINDINGS} if block.text.lstrip().startswith("phytoscope inspect") else {0}
        assert outcome.code in allowed, place
        after = shown.get(block.line)
        if after is not None and after.language == "text" and after.not_run is None:
            missing = compare_loosely(after.text, outcome.output)
            assert missing is None, f"not in the output: {missing}\n{place}"
        count += 1
    return count


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_page_is_true_to_the_letter(page, reader) -> None:
    """Somebody who copies every block of the page gets what it says; the service ends well."""
    assert follow(page, reader) >= 5


def test_service_listens_where_the_pages_say() -> None:
    """Tests ask another port, since this one may be taken; it is the default all the same."""
    assert ServeConfig.port == PORT
    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert f"http://127.0.0.1:{PORT}" in pages


def test_output_is_compared_loosely() -> None:
    """Numbers and widths may differ, words and their order may not."""
    output = "On 60 photographs   of 20 leaves,\n85 of 100 were named rightly. Report: /tmp/x/report.html\n"
    assert compare_loosely("On 12 photographs of 4 leaves, 100 of 100 were named rightly", output) is None
    assert compare_loosely("On 12 photographs\n...\nReport: .../report.html", output) is None
    assert compare_loosely("Report: .../report.html\nOn 12 photographs", output) == "On 12 photographs"
    assert compare_loosely("were named wrongly", output) == "were named wrongly"


def test_blocks_are_read_with_what_belongs_to_them(tmp_path) -> None:
    """Language, line, reason and time of each block; a measured time lands beside its own block alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "Look (<!-- took -->9 s<!-- end -->):\n\n```bash\nphytoscope serve leaf.phyto\n```\n\n"
        "<!-- not run: needs a cluster -->\n```bash\nmake demo\n```\n\nThen (<!-- took -->1 s<!-- end -->)\n\n"
        "```python\nprint(1)\n```\n",
        encoding="utf-8",
    )
    first, second, third = read_blocks(page)
    assert (first.line, first.language, first.serves, first.not_run) == (3, "bash", True, None)
    assert (second.not_run, second.took, second.text) == ("needs a cluster", None, "make demo\n")
    assert (third.language, third.serves) == ("python", False)
    write_times(page, {first.line: 81.2, third.line: 100.4})
    text = page.read_text(encoding="utf-8")
    assert "Look (<!-- took -->1 min 21 s<!-- end -->)" in text
    assert "Then (<!-- took -->1 min 40 s<!-- end -->)" in text


def test_failing_command_and_service_that_does_not_start_are_told(tmp_path) -> None:
    """A wrong command, wrong Python and a service without a package are not taken for good ones."""
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nfalse\necho on\n```\n```python\nraise SystemExit(4)\n```\n"
        "```bash\nphytoscope serve none.phyto\n```\n```bash\necho good\n```\n",
        encoding="utf-8",
    )
    reader = Reader(tmp_path, port=find_port(), environment={**os.environ, "PATH": "/usr/bin:/bin"})
    codes = [outcome.code for _, outcome in walk(page, reader)]
    assert (codes[0], codes[1], codes[3]) == (1, 4, 0)
    assert codes[2] != 0


def test_citation_is_valid() -> None:
    """CITATION.cff keeps to the schema of the format 1.2, and names the version and licence of the project."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format"]
    subprocess.run([*check, str(ROOT / "CITATION.cff")], check=True, capture_output=True)
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', project, flags=re.MULTILINE)
    assert version is not None
    assert f"\nversion: {version[1]}\n" in text
    assert "\nlicense: Apache-2.0\n" in text


def test_readme_stays_short_and_needs_no_network_to_be_read() -> None:
    """At most 260 lines, pictures that exist in the repository, no badges from elsewhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 260
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)
    commands = [block.text for block in read_blocks(ROOT / "README.md")]
    assert commands[0].split() == ["make", "demo", "make", "test"]
