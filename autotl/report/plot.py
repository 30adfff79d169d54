"""Figures as inline SVG: drawn by matplotlib, coloured by the page's style sheet, with tooltips.

matplotlib, because its SVG needs no script at all: nothing to load, a strict content policy, text that
can be selected and read out, lines that stay sharp in print; and most environments with torch have it.
(Vega-Lite would bring 0.9 MB of scripts to each page and wants `eval`; bokeh 1.3 MB and draws on a canvas.)
Colours are drawn as stand-ins which become the style sheet's variables, so that one drawing serves light,
dark and paper. Imported when a report is written, and not before.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

from autotl.report.format import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT, WARN, CARD, SECOND, THIRD = (f"#0{n}0{n}0{n}" for n in range(1, 9))
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    ACCENT: "--accent",
    WARN: "--warn",
    CARD: "--card",
    SECOND: "--tone2",
    THIRD: "--tone4",
}
SERIES = (ACCENT, SECOND, THIRD, WARN, SOFT)  # in the order lines are drawn
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "autotl",  # the same drawing gives the same bytes
    "path.simplify": True,
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 11.5,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "none",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"
_PLACES = {"d", "x", "y", "transform"}
_DIGITS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a pixel is enough
_HOVER = "hover-"  # gids of what carries a value


class Drawing:
    """A figure being drawn: `axes` to draw on, `hover` for tooltips, `svg` at the end."""

    def __init__(self, width: float = 460, height: float = 330) -> None:
        """Make a figure of a width and height in CSS pixels. Raises `ImportError` without matplotlib."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        with _style():
            self.figure: Figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
            FigureCanvasSVG(self.figure)
            self.axes: Axes = self.figure.add_subplot()
        self._words: list[str] = []

    def hover(self, artist: Any, words: str) -> None:
        """Give an artist a tooltip, which screen readers read too."""
        artist.set_gid(f"{_HOVER}{len(self._words)}")
        self._words.append(words)

    def legend(self, where: Literal["best", "upper right", "lower right"]) -> None:
        """Write the names of the labelled lines into the figure."""
        self.axes.legend(loc=where, labelcolor=INK, frameon=False, fontsize=11)

    def svg(self, name: str, label: str) -> str:
        """Return the figure as an ``<svg>`` element; `name` makes its ids unique in the page."""
        from matplotlib.text import Text

        for text in self.figure.findobj(Text):
            text.set_parse_math(False)  # a class may be called $x$
        out = io.StringIO()
        with _style(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # glyphs that its font lacks: the browser has them
            self.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        return _tidy(out.getvalue(), name, label, self._words)


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """Set our own style over the library's defaults; the user's matplotlibrc has no effect."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def share_axis(axis: Any) -> None:
    """Label the ticks of an axis of fractions in percent; it ends at 100%, with room for half a dot."""
    axis.set_major_formatter(
        lambda value, _: (
            "" if value > 1 + 1e-9 else percent(value, int(abs(100 * value - round(100 * value)) > 1e-6))
        )
    )
    low, high = sorted(axis.get_view_interval())
    if high > 1:
        (axis.axes.set_ylim if axis is axis.axes.yaxis else axis.axes.set_xlim)(low, 1 + 0.02 * (1 - low))


def _tidy(text: str, name: str, label: str, words: Sequence[str]) -> str:
    """Return matplotlib's SVG as an element of a page: small, with unique ids, tooltips, and the page's colours."""
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(text.encode())  # noqa: S314 (our own drawing)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for definitions in root.iter(f"{{{_SVG}}}defs"):  # a style here would hold for all of the page's SVG
        for style in definitions.findall(f"{{{_SVG}}}style"):
            definitions.remove(style)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", text))
    for element in root.iter():
        mark = element.get("id", "")
        if mark.startswith(_HOVER):
            title = ET.Element(f"{{{_SVG}}}title")
            title.text = words[int(mark.removeprefix(_HOVER))]
            element.insert(0, title)
        if mark in used:
            element.set("id", f"{name}-{mark}")
        elif mark:
            del element.attrib["id"]
        for key, value in list(element.attrib.items()):
            element.set(key, _attribute(key, value, name))
    width = float(root.attrib["width"].removesuffix("pt"))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("style", f"--natural: {width:.0f}px")
    root.set("role", "img")
    root.set("aria-label", label)
    drawn = ET.tostring(root, encoding="unicode")
    for colour, variable in _VARIABLES.items():
        drawn = drawn.replace(colour, f"var({variable})")
    return re.sub(r">\s+<", "><", drawn)


def _attribute(key: str, value: str, name: str) -> str:
    """Return the value of an attribute: references by the ids of `name`, styles and coordinates shortened."""
    if key.endswith("href") and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if "url(#" in value:
        return value.replace("url(#", f"url(#{name}-")
    if key == "style":
        return _lean(value)
    return _DIGITS.sub(r"\1", value) if key in _PLACES else value


def _lean(style: str) -> str:
    """Return a style without fonts; the page sets them."""
    parts = [part.strip() for part in style.split(";")]
    kept = []
    for part in parts:
        key, _, value = part.partition(":")
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            kept.append(f"font-size: {size.group(1)}px" if size else "")
        elif key != "font-family":
            kept.append(part)
    return "; ".join(part for part in kept if part)
