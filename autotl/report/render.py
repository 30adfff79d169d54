"""The report of a run: a self-contained HTML page, and Markdown."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from autotl.cache import atomic_write
from autotl.records.result import Recommendation
from autotl.report.format import shown
from autotl.report.material import Material, gather
from autotl.report.view import view
from autotl.report.wording.recommendation import recommendation

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
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: shown(value) if type(value) is str else value,  # not Markup, which is ours
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(content, style=style, script=script, digest=digest)


def markdown(page: dict[str, object]) -> str:
    """Return the same content as Markdown; names cannot become markup or HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        finalize=_escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.md").render(page).strip() + "\n"


def _escape_markdown(value: object) -> str:
    text = " ".join(shown(str(value)).split())
    for character in "\\`*_[]|#":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TEMPLATES = Path(__file__).parent / "templates"
