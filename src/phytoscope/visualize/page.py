"""What all pages share: they open without a network, hold all they show, and run nothing but their own script."""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import jinja2

from phytoscope.visualize.text import clean_text

CSS_PX_PER_INCH: Final = 118
"""The text of a figure then has about the size of the text around it."""
_SHARED_TEMPLATES = ("base.html.j2", "parts.html.j2")


def render_page(template: str, context: Mapping[str, Any], *, styles: tuple[str, ...] = ("report.css",)) -> str:
    """Renders one template as a page that is complete in itself.

    Every text from outside (file names, class names, reasons) is escaped and cleaned, and a content security policy
    keeps the page from loading or running anything else.

    Args:
        template: Name of a template that extends `base.html.j2`.
        context: What the template shows.
        styles: Names of the style sheets, in order.

    Returns:
        The page as HTML text; write it as UTF-8.
    """
    script = read_template("report.js")
    shared = {
        "style": "\n".join(map(read_template, styles)),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
    }
    return _environment(template).get_template(template).render({**context, **shared})


def read_template(name: str) -> str:
    """Text of one file of the folder of templates, without white space around it."""
    return resources.files("phytoscope.visualize").joinpath("templates", name).read_text(encoding="utf-8").strip()


def encode_address(content: bytes, kind: str) -> str:
    """Content of a picture as a data address; `kind` is what follows `image/`, such as `png` or `svg+xml`."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def _environment(template: str) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.DictLoader({name: read_template(name) for name in (*_SHARED_TEMPLATES, template)}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_clean_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _clean_value(value: Any) -> Any:
    # Markup is a kind of str that is the page's own; only texts from outside are cleaned, line by line.
    return "\n".join(map(clean_text, value.split("\n"))) if type(value) is str else value
