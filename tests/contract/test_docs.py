"""What the documents say is true: links lead somewhere, commands exist, code compiles, and the site builds."""

import ast
import functools
import importlib
import inspect
import os
import re
import subprocess
import sys
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.main import get_command

import docs.make_architecture_picture as picture
from contract.architecture import ROOMS
from contract.source_checks import ROOT
from docs.writers.repository import place_links, read_section
from factories.documents import (
    is_placeholder,
    list_documents,
    read_anchors,
    read_blocks,
    read_commands,
    read_inline_code,
    read_links,
)
from phytoscope.cli import app
from phytoscope.cli.sweep_command import name_sweep_keys
from phytoscope.configs import compose_config, list_groups
from phytoscope.configs.words import normalise_words
from phytoscope.errors import ConfigError
from phytoscope.schema.config import SCHEMA_OF_GROUP
from phytoscope.schema.data_config import SplitConfig

DOCUMENTS = list_documents()
TREE = get_command(app)
# Pages of the site that are written while it is built.
GENERATED = {f"docs/reference/{name}.md" for name in ("commands", "settings", "python", "http", "formats")}
GENERATED |= {"docs/tour.md", "docs/changelog.md", "docs/contributing.md"}
KEYS = {f"{group}.{name}" for group, schema in SCHEMA_OF_GROUP.items() for name in schema.__dataclass_fields__}
KEYS |= {f"data.split.{name}" for name in SplitConfig.__dataclass_fields__}
# Files whose names look like settings.
FILE_ENDINGS = (
    "csv",
    "db",
    "json",
    "jsonl",
    "md",
    "onnx",
    "parquet",
    "safetensors",
    "py",
    "toml",
    "txt",
    "xlsx",
    "yaml",
    "zip",
)
EVERY_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


@EVERY_DOCUMENT
def test_links_lead_somewhere(document):
    """Each link of a document to a file, picture or heading of the repository leads to one that exists."""
    assert find_dead_links(document, document.read_text(encoding="utf-8")) == []


def find_dead_links(document, text):
    """Links of a text that lead nowhere, as they are written."""
    dead = []
    for link in read_links(text):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (document.parent / name).resolve() if name else document
        if name and target.is_relative_to(ROOT) and target.relative_to(ROOT).as_posix() in GENERATED:
            continue
        known = name or document.name
        if not target.exists() or not target.is_relative_to(ROOT):
            dead.append(link)
        elif anchor and known.endswith(".md"):
            there = text if target == document else target.read_text(encoding="utf-8")
            dead += [link] if anchor not in read_anchors(there) else []
    return dead


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("![a](docs/images/nothing.png)", ["docs/images/nothing.png"]),
        ("# One\n[a](#one) [b](#two)", ["#two"]),
        ("[a](docs/architecture.md#rooms) [b](docs/architecture.md#rats)", ["docs/architecture.md#rats"]),
        ("`[a](nowhere.md)` and\n```\n[a](nowhere.md)\n```\n", []),
        ("[a](https://example.org/nowhere)", []),
    ],
)
def test_reader_of_links_can_fail(text, dead):
    """A check of links that finds nothing anywhere proves nothing."""
    assert find_dead_links(ROOT / "README.md", text) == dead


@EVERY_DOCUMENT
def test_commands_exist(document):
    """Each `phytoscope ...` of a document names a command, options and settings that exist."""
    text = document.read_text(encoding="utf-8")
    found = [(typed, find_fault(typed.words, is_whole=typed.is_whole)) for typed in read_commands(text)]
    assert [fault for typed, fault in found if fault is not None and not typed.is_mistake] == []
    assert [typed.words for typed, fault in found if fault is None and typed.is_mistake] == []


def find_fault(words, *, is_whole):
    """What is wrong with a command, in words; None when a user could type it."""
    shown = " ".join(["phytoscope", *words])
    command, rest = TREE, [word for word in words if word not in ("...", "--help")]
    context = command.context_class(command, info_name="phytoscope")
    try:
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            if is_placeholder(rest[0]):
                return None
            _, command, rest = command.resolve_command(context, rest)
            context = command.context_class(command, info_name="phytoscope", parent=context)
        given, left, _ = command.make_parser(context).parse_args(rest)
    except Exception as error:  # noqa: BLE001 (whatever the parser says is the fault)
        return f"{shown}: {error}"
    return _find_wrong_value(shown, command, given) or _find_missing(shown, command, given, left, is_whole=is_whole)


def _find_wrong_value(shown, command, given):
    for entry in command.params:
        value = given.get(entry.name)
        kind = getattr(getattr(entry, "type_descriptor", None), "annotation", None)
        if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(value, str) and not is_placeholder(value):
            choices = [choice.value for choice in kind]
            if value not in choices:
                return f"{shown}: {value!r} is not one of {choices}"
        if "KEY=VALUE" in (entry.metavar or ""):
            words = [word for word in (value if isinstance(value, tuple | list) else [value]) if "=" in str(word)]
            if command.name == "sweep":
                words = name_sweep_keys(words)
            if entry.name == "engine_settings":
                words = [f"engine.{word}" for word in words]
            fault = _find_wrong_setting(tuple(words))
            if fault:
                return f"{shown}: {fault}"
    return None


def _find_missing(shown, command, given, left, *, is_whole):
    if left and not hasattr(command, "commands"):
        return f"{shown}: {left} is more than it takes"
    is_left_out = [entry.name for entry in command.params if entry.required and given.get(entry.name) in (None, (), [])]
    return f"{shown}: lacks {is_left_out}" if is_whole and is_left_out else None


@functools.cache
def _find_wrong_setting(words):
    """What is wrong with settings; words with a value that the reader chooses are checked for their key alone."""
    words = [word for word in words if not re.match(r"experiment=.*\.yaml$", word)]
    try:
        normalise_words([word for word in words if not is_placeholder(word.partition("=")[2])], list_groups())
    except ConfigError as error:
        return str(error)
    keys = [word.partition("=")[0] for word in words]
    unknown = [
        key for key in keys if re.sub(r"\Atrain\.", "trainer.", key) not in KEYS | set(list_groups()) | {"name", "seed"}
    ]
    if unknown:
        return f"there is no setting {unknown[0]!r}"
    return _find_impossible(
        [word for word in words if not re.search(r"=.*(\.\.\.|\|)", word) and not is_open_number(word)]
    )


def is_open_number(word):
    """Whether a word leaves a number to the reader, as in `trainer.devices=N`."""
    return is_placeholder(word.partition("=")[2]) and not word.startswith(("data.", "paths.", "evaluate.external"))


def _find_impossible(words):
    """Why no data that somebody may have go with these settings; None when some do."""
    if not words:
        return None
    attempts = [["data=folder"], ["data=table", "data.target=weight"], ["data=table", "data.label=disease"]]
    errors = []
    for start in [[]] if any(word.startswith("data=") for word in words) else attempts:
        try:
            compose_config([*start, *words])
        except ConfigError as error:
            errors.append(str(error))
        else:
            return None
    return errors[0]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("phytoscope rum data=folder", "rum"),
        ("phytoscope run --fersh", "--fersh"),
        ("phytoscope run data=folder data.rooot=x", "data.rooot"),
        ("phytoscope run data=folder trainer.batch_size=1", "above 1"),
        ("phytoscope run data=folder trainer.mode=fastest", "fastest"),
        ("phytoscope inspect leaves --fail-on never-mind", "never-mind"),
        ("phytoscope package shwo PACKAGE", "shwo"),
        ("phytoscope predict", "lacks"),
    ],
)
def test_reader_of_commands_can_fail(line, fault):
    """Each kind of mistake in a command is seen."""
    (typed,) = read_commands(f"```console\n$ {line}\n```\n")
    assert fault in find_fault(typed.words, is_whole=typed.is_whole)


@EVERY_DOCUMENT
def test_settings_in_sentences_exist(document):
    """A setting that a sentence names between backticks exists; its value is looked at where it stands behind it."""
    named = [code for code in read_inline_code(document.read_text(encoding="utf-8")) if _looks_like_setting(code)]
    assert [name for name in named if name not in KEYS] == []


def _looks_like_setting(code):
    if not re.fullmatch(rf"(?:{'|'.join(SCHEMA_OF_GROUP)})(?:\.[a-z_0-9]+)+", code) or code.endswith(FILE_ENDINGS):
        return False
    # The package has rooms of the same names: `data.split` may be a module.
    return not (ROOT / "src" / "phytoscope" / code.replace(".", "/")).exists()


@EVERY_DOCUMENT
def test_python_compiles_and_finds_what_it_imports(document):
    """Each block of Python compiles, what it imports from phytoscope exists, and so do names and words of its API."""
    faults = []
    for block in read_blocks(document.read_text(encoding="utf-8")):
        if block.language in ("python", "py"):
            faults += [f"line {block.line}: {fault}" for fault in find_faults_of_python(block.code)]
    assert faults == []


def find_faults_of_python(code):
    """What of phytoscope a piece of Python uses and is not there."""
    tree = ast.parse(code)
    faults, fronts = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in (alias for alias in node.names if alias.name.partition(".")[0] == "phytoscope"):
                importlib.import_module(name.name)
                fronts |= {name.asname or name.name} if name.name == "phytoscope" else set()
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "phytoscope":
            module = importlib.import_module(node.module)
            faults += [f"{node.module} has no {alias.name}" for alias in node.names if not _has(module, alias.name)]
    front = importlib.import_module("phytoscope")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in fronts:
            faults += [] if hasattr(front, node.attr) else [f"phytoscope has no {node.attr}"]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_front(node.func.value, fronts):
            faults += _find_foreign_words(getattr(front, node.func.attr, None), node)
    return faults


def _has(module, name):
    if hasattr(module, name):
        return True
    return importlib.util.find_spec(f"{module.__name__}.{name}") is not None if hasattr(module, "__path__") else False


def _is_front(node, fronts):
    return isinstance(node, ast.Name) and node.id in fronts


def _find_foreign_words(called, node):
    if called is None:
        return []
    known = inspect.signature(called).parameters
    if any(entry.kind is entry.VAR_KEYWORD for entry in known.values()):
        return []
    return [f"{node.func.attr} takes no {word.arg}" for word in node.keywords if word.arg not in {*known, None}]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("from phytoscope.errors import NoSuchError", "has no NoSuchError"),
        ("import phytoscope as ph\nph.nothing()", "has no nothing"),
        ("import phytoscope\nphytoscope.Client('http://127.0.0.1', wait=3)", "takes no wait"),
    ],
)
def test_reader_of_python_can_fail(code, fault):
    """Each kind of mistake in a piece of Python is seen."""
    assert fault in find_faults_of_python(code)[0]


def test_spelling():
    """codespell, with the words that pyproject.toml lets pass, finds nothing in the whole repository."""
    command = [sys.executable, "-m", "codespell_lib", "."]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_spelling_can_fail(tmp_path):
    """The settings of codespell do not let everything pass."""
    page = tmp_path / "page.md"
    page.write_text(" ".join(["A", "sepe" + "rate", "tab" + "el", "of", "t" + "eh", "values"]))
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), str(page)]
    assert subprocess.run(command, check=False, capture_output=True, text=True).stdout.count("==>") == 3


@pytest.mark.parametrize(
    ("uri", "text", "placed"),
    [
        ("guides/x.md", "[a](../../benchmarks/gpu.py)", "[a](../source/benchmarks/gpu.py.md)"),
        ("guides/x.md", "[a](../../README.md#install)", "[a](../tour.md#install)"),
        ("guides/x.md", "[a](predict.md#speed)", "[a](predict.md#speed)"),
        ("guides/x.md", "`[a](../../Makefile)` [b](nowhere.md)", "`[a](../../Makefile)` [b](nowhere.md)"),
        (
            "index.md",
            "![a](images/demo.png) [b](https://example.org)",
            "![a](images/demo.png) [b](https://example.org)",
        ),
    ],
)
def test_links_out_of_docs_have_a_place_in_the_site(uri, text, placed):
    """A link to a file of the repository leads to where the site shows it; all others stay as they are."""
    assert place_links(f"docs/{uri}", uri, text) == placed


def test_shared_section_must_exist():
    """A page that brings in a section of another page cannot lose it without a word."""
    assert read_section(ROOT / "docs" / "architecture.md", "rooms").startswith("Each folder or file directly")
    with pytest.raises(LookupError, match="has no heading #nowhere"):
        read_section(ROOT / "docs" / "architecture.md", "nowhere")


def test_drawing_is_as_its_script_makes_it():
    """The drawing of the architecture is up to date, and shows every room."""
    drawn = picture.draw()
    assert picture.PICTURE.read_text(encoding="utf-8") == drawn, "run python docs/make_architecture_picture.py"
    words = set(re.findall(r"[\w]+", re.sub(r"<(?!/?text)[^>]*>|<text[^>]*>", " ", drawn)))
    assert set(ROOMS) - words == set()


class _Page(HTMLParser):
    """Links, anchors and files of one page of the site."""

    def __init__(self, text):
        super().__init__()
        self.links, self.files, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag in ("img", "script", "iframe", "source") and found.get("src"):
            self.files.append(found["src"])
        elif tag == "link" and found.get("href"):
            self.files.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with every warning an error; name of each page -> what is in it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    # Its own links begin at the root of a server that nobody has named.
    del pages[folder / "404.html"]
    return pages


@pytest.mark.slow
def test_site_has_no_dead_link(site):
    """Each link and file of each page of the site is there, anchors in generated pages included."""
    dead = []
    for path, page in site.items():
        for link in [*page.links, *page.files]:
            if re.match(r"[a-z][a-z+.-]*:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = Path(os.path.normpath(path.parent / name)) if name else path
            known = site[target].anchors if target in site else None
            # The page's own top has no name.
            if not target.exists() or (anchor and known is not None and anchor not in {*known, "__top"}):
                dead.append(f"{path.name}: {link}")
    assert dead == []


@pytest.mark.slow
def test_site_needs_no_network(site):
    """No page loads a script, style, font or picture from elsewhere."""
    loaded = {file for page in site.values() for file in page.files}
    assert [file for file in loaded if re.match(r"(https?:)?//", file)] == []
    folder = next(iter(site)).parent
    styles = [path.read_text(encoding="utf-8") for path in folder.rglob("*.css")]
    assert [found for text in styles for found in re.findall(r"url\((?:https?:)?//[^)]*\)|@import[^;]*", text)] == []


@pytest.mark.slow
def test_site_lists_all_that_the_code_has(site):
    """The generated pages name every command, every setting and every public name, and no path of this computer."""
    pages = {path.name: path.read_text(encoding="utf-8") for path in site if path.parent.name == "reference"}
    assert [key for key in KEYS - {"data.split"} if f'id="{key}"' not in pages["settings.html"]] == []
    names = [name for name, command in TREE.commands.items() if not command.hidden]
    assert [name for name in names if f'id="phytoscope-{name}' not in pages["commands.html"]] == []
    public = [name for name in importlib.import_module("phytoscope").__all__ if not name.startswith("__")]
    assert [name for name in public if f".{name}" not in pages["python.html"]] == []
    assert [name for name, text in pages.items() if str(ROOT) in text or str(Path.home()) in text] == []
