"""Every link of the documentation leads to a file, or to a heading, that is there."""

import sys
from urllib.parse import unquote

import pytest
from doc_pages import PAGES, ROOT, anchor, read_page


def lost(page):
    """Links of a page that lead nowhere, with their lines."""
    path = ROOT / page
    for line, target in read_page(path).links:
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, name = unquote(target).partition("#")
        other = (path.parent / file).resolve() if file else path
        made = other.name == "commands.md"  # by docs/site_hooks.py, when the site is built
        if not made and (not other.exists() or (name and other.suffix == ".md" and name not in read_page(other).anchors)):
            yield f"{page}:{line}: {target}"


def test_links_resolve():
    assert [link for page in PAGES for link in lost(page)] == []


def test_lost_links_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[lost.__module__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[read_page.__module__], "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# One — two\n[a](b.md) [b](#one--two) [c](#three) [d](https://example.org) ![e](f.png)\n", "utf-8")
    assert list(lost("a.md")) == ["a.md:2: b.md", "a.md:2: #three", "a.md:2: f.png"]


@pytest.mark.parametrize(("heading", "made"), [
    ("convert — files of records", "convert--files-of-records"),
    ("照片与批量转换 · Photographs in convert", "照片与批量转换--photographs-in-convert"),
    ("A camera that nobody taught", "a-camera-that-nobody-taught")])
def test_anchors_are_those_that_the_pages_use(heading, made):
    assert anchor(heading) == made


def test_every_page_is_reached_from_the_site():
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page for page in PAGES if page.startswith("docs/") and page.removeprefix("docs/") not in listed] == []
