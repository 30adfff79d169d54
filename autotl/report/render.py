"""The report of a run: a self-contained HTML page, and Markdown."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autotl.cache import atomic_write
from autotl.records.result import Recommendation
from autotl.report.format import shown
from autotl.report.material import Material, gather
from autotl.report.view import view
from autotl.report.wording.recommendation import recommendation

if TYPE_CHECKING:
    import jinja2

__all__ = ["html", "markdown", "render", "summary"]

HTML, MARKDOWN = "report.html", "report.md"


def summary(result: Recommendation, *, warned: bool = True) -> str:
    """Return the recommendation in words, or why there is none; `warned`: with the warnings of the decision."""
    return recommendation(result, warned=warned)


def render(result: Recommendation, folder: Path, material: Material | None = None) -> None:
    """Write report.html and report.md into a run folder, each atomically.

    `material` is what `gather` returned for this folder, if it was called before. Raises `OSError`.
    """
    page = view(result, gather(result, folder) if material is None else material)
    atomic_write(folder / HTML, html(page))
    atomic_write(folder / MARKDOWN, markdown(page))


def html(page: dict[str, object]) -> str:
    """Return the report as one self-contained page: it makes no request."""
    return page_of("report.html", {**page, "page": page})


def page_of(template: str, content: Mapping[str, object]) -> str:
    """Return a page of one of the templates; everything that comes from files is escaped."""
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template(template).render(content, style=style, script=script, digest=digest)


def markdown(page: dict[str, object]) -> str:
    """Return the same content as Markdown; names cannot become markup or HTML."""
    return _template("report.md").render(page).strip() + "\n"


@functools.cache
def _template(name: str) -> jinja2.Template:
    """Return a compiled template; in HTML what is put in is escaped, in Markdown it cannot become markup."""
    import jinja2

    page = name.endswith(".html")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=page,
        undefined=jinja2.StrictUndefined,
        finalize=_shown if page else _escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _shown(value: object) -> object:
    return shown(value) if type(value) is str else value  # not Markup, which is ours


def _escape_markdown(value: object) -> str:
    text = " ".join(shown(str(value)).split())
    for character in "\\`*_[]|#":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TEMPLATES = Path(__file__).parent / "templates"
