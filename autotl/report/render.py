"""What a run recommends, and why, as a page that opens anywhere and as Markdown for a pull request."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from autotl.cache import atomic_write
from autotl.records.result import Recommendation
from autotl.report import wording
from autotl.report.explained import keep, question
from autotl.report.format import shown
from autotl.report.inputs import Material, gather
from autotl.report.view import view

__all__ = ["Material", "gather", "keep", "question", "render", "summary"]

HTML, MARKDOWN = "report.html", "report.md"


def summary(result: Recommendation) -> str:
    """Return the recommendation in plain words; says so where there is none yet."""
    return wording.summary(result)


def render(result: Recommendation, folder: Path, material: Material | None = None) -> None:
    """Writes report.html and report.md into a run folder, each atomically.

    `material` is what `gather` made of this folder before, if it did. Raises `OSError`.
    """
    page = view(result, gather(result, folder) if material is None else material)
    atomic_write(folder / HTML, html(page))
    atomic_write(folder / MARKDOWN, markdown(page))


def html(page: dict[str, object]) -> str:
    """One self-contained page: no request leaves it, everything that comes from files is escaped."""
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
    template = environment.get_template("report.html")
    return template.render(page, style=style, script=script, digest=digest)


def markdown(page: dict[str, object]) -> str:
    """The same content as Markdown; names cannot become markup or HTML."""
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
