"""Links of the documentation that lead out of docs/ become the name of the file: a site has no other files.

A hook of MkDocs, see mkdocs.yml. tests/test_docs.py checks that the files are there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)[^)]*\)")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Return a page whose links stay inside the site. MkDocs calls it for each page."""
    docs = Path(config["docs_dir"]).resolve()
    folder = (docs / page.file.src_uri).parent

    def inside(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or (folder / target).resolve().is_relative_to(docs):
            return match[0]
        path = (folder / target).resolve()
        if not path.exists():  # MkDocs names it
            return match[0]
        name = path.relative_to(docs.parent)
        return f"{match[1]} (`{name.as_posix()}`)"

    parts = _CODE.split(markdown)
    blocks = _CODE.findall(markdown)
    changed = [_LINK.sub(inside, part) for part in parts]
    return "".join(text + block for text, block in zip(changed, [*blocks, ""], strict=True))
