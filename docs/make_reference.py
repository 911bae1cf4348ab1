"""Hook of the documentation site: writes the reference from the code at every build, and nothing of it into the tree.

mkdocs calls the functions `on_...` of this file, which `mkdocs.yml` names. The same code gives the same pages.
"""

import posixpath
from pathlib import PurePosixPath
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from writers.commands import write_commands
from writers.formats import write_formats
from writers.http_api import write_http_api
from writers.python_api import write_python_api
from writers.repository import (
    PAGES,
    ROOT,
    complete_page,
    list_linked_files,
    name_source_page,
    place_links,
    write_source_page,
)
from writers.settings import write_settings

_WRITERS: Final = {
    "reference/commands.md": write_commands,
    "reference/settings.md": write_settings,
    "reference/python.md": write_python_api,
    "reference/http.md": write_http_api,
    "reference/formats.md": write_formats,
}
# Pages of the site that lie at the root of the repository.
_FROM_ROOT: Final = {uri: name for name, uri in PAGES.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts all pages that fit in place of each entry of the navigation with a star."""
    config.nav = _expand(config.nav or [])
    return config


def _expand(entries: list[Any]) -> list[Any]:
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, str) and "*" in entry:
            found = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob(f"{entry}.md")]
            expanded += sorted(found, key=lambda name: (PurePosixPath(name).stem != "README", name))
        elif isinstance(entry, dict):
            expanded.append({name: _expand(part) if isinstance(part, list) else part for name, part in entry.items()})
        else:
            expanded.append(entry)
    return expanded


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are written from the code, and those that show files that other pages link to."""
    for uri, write in _WRITERS.items():
        files.append(File.generated(config, uri, content=write()))
    for uri, name in _FROM_ROOT.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    linked = set()
    for file in files.documentation_pages():
        linked |= list_linked_files(_name_origin(file.src_uri), file.content_string)
    for path in sorted(linked):
        files.append(File.generated(config, name_source_page(path), content=write_source_page(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Brings in what the README says, and leads links out of docs/ to where the site shows their file."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    return place_links(_name_origin(uri), uri, complete_page(uri, markdown))


def _name_origin(uri: str) -> str:
    return _FROM_ROOT.get(uri, posixpath.join("docs", uri))
