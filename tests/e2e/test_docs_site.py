"""The site is built without a warning, holds what the program says of itself, and loads nothing from elsewhere."""

import re
import subprocess
import sys

import pytest
import typer
from doc_pages import PAGES, ROOT, read_page

from tcmstruct.cli import app

for needed in ("mkdocs", "material", "mkdocstrings"):
    pytest.importorskip(needed, reason="the site needs the extra [docs]")

LOADS = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
                   r"""|<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)\b[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]+"""
                   r"""|url\(["']?(?:https?:)?//[^)]+|@import\s+["'](?:https?:)?//""")
"""What makes a browser fetch from another place (a plain link does not)."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)], cwd=ROOT,
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_built(site):
    made = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} | {"commands.md"} <= made


def test_nothing_is_loaded_from_elsewhere(site):
    assert LOADS.search('<link rel="preconnect" href="https://fonts.gstatic.com">') and LOADS.search("<script async src=//a.org/b.js>")
    found = [(path.name, hit[0]) for path in site.rglob("*") if path.suffix in (".html", ".css") for hit in LOADS.finditer(
        path.read_text("utf-8"))]
    assert found == []


def test_all_options_stand_on_their_page(site):
    page = (site / "commands.html").read_text("utf-8")
    for path, command in commands(typer.main.get_command(app), "tcmstruct"):
        assert f">{path}<" in page
        assert [option for parameter in command.params for option in parameter.opts if option.startswith("-") and option not in page] == []


def test_the_api_is_there_with_its_parameters(site):
    page = (site / "api.html").read_text("utf-8")
    for name in ("pipeline.structure", "record.FieldValue", "evaluation.evaluate", "errors.InputRefused"):
        assert f'id="tcmstruct.{name}"' in page
    assert "memory_limit_bytes" in page and "code points" in page


def test_chinese_is_cut_into_words_for_the_search(site):
    index = (site / "search" / "search_index.json").read_text("utf-8")
    assert "\\u200b" in index or "\u200b" in index


def commands(command, path):
    if not hasattr(command, "commands"):
        return [(path, command)]
    return [found for name, inner in command.commands.items() for found in commands(inner, f"{path} {name}")]


def test_every_code_block_is_highlighted_as_one(site):
    for page in PAGES:
        blocks = read_page(ROOT / page).blocks
        if page.startswith("docs/") and blocks:
            html = (site / page.removeprefix("docs/")).with_suffix(".html").read_text("utf-8")
            assert html.count("<code>") >= len(blocks) and "```" not in re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL), page
