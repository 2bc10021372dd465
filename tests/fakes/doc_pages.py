"""The pages of the documentation as a Markdown parser reads them: code blocks, headings, links."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES: tuple[str, ...] = tuple(str(path.relative_to(ROOT).as_posix()) for path in (
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md"))))

_NOT_RUN = re.compile(r"<!--\s*not run:\s*(.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path from the root of the repository.
        line: of the fence, from 1.
        language: first word after the fence, "" where there is none.
        title: name of the file that it shows, "" where it has none (```csv title="MZBL.csv").
        not_run: reason of the marker `<!-- not run: … -->` above it, "" where there is none.
    """

    page: str
    line: int
    language: str
    text: str
    title: str = ""
    not_run: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass
class Page:
    """
    Attributes:
        anchors: what a link may name after #, as GitHub and the site make them from headings.
        links: (line, target) of every link and picture.
    """

    path: Path
    blocks: list[Block] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    links: list[tuple[int, str]] = field(default_factory=list)


@cache
def read_page(path: Path) -> Page:
    page, reason, heading, line = Page(path), "", False, 0
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8")):
        line = token.map[0] + 1 if token.map else line
        if token.type == "html_block":
            reason = " ".join(_NOT_RUN.findall(token.content))
        elif token.type == "fence":
            language, title = (token.info.split() or [""])[0], re.search(r'title="(.*?)"', token.info)
            page.blocks.append(Block(path.relative_to(ROOT).as_posix(), line, language, token.content, title[1] if title else "", reason))
            reason = ""
        elif token.type == "inline":
            children = token.children or []
            if heading:
                page.anchors.add(anchor("".join(child.content for child in children if child.type in ("text", "code_inline"))))
            page.links += [(line, str(child.attrs.get("href") or child.attrs.get("src")))
                           for child in children if child.type in ("link_open", "image")]
        heading = token.type == "heading_open"
        if token.type not in ("html_block", "fence"):
            reason = ""
    return page


def anchor(heading: str) -> str:
    """What GitHub makes of a heading: lower case, letters, digits, - and _ stay, every blank becomes a hyphen."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
