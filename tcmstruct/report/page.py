"""Self-contained HTML pages: templates that escape, a strict content security policy, private and atomic writes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from tcmstruct.report import palette
from tcmstruct.report.cells import percent, share
from tcmstruct.report.shown import finalize, shown
from tcmstruct.whole_file import whole_file

_ASSETS = files("tcmstruct.report") / "assets"
_TEMPLATES = ("macros.html", "figures.html", "view.html", "report.html", "training.html")


def bi(zh: str, en: str) -> Markup:
    """A label in Chinese with its English, small, behind it."""
    return Markup('{} <small lang="en">{}</small>').format(zh, en)


@cache
def _environment() -> Environment:
    env = Environment(loader=DictLoader({name: _asset(name) for name in _TEMPLATES}), autoescape=True, finalize=finalize,
                      undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(shown=shown)
    env.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    env.globals.update(bi=bi, percent=percent, share=share, type_class=palette.type_class,
                       status_class=palette.status_class)
    return env


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


@cache
def _bars() -> str:
    """One rule for each whole percent: a confidence bar needs no style attribute, which the policy forbids."""
    return "".join(f".b{n}{{--b:{n}%}}" for n in range(101))


def _source(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def render(template: str, styles: tuple[str, ...], scripts: tuple[str, ...], context: Mapping[str, Any],
           pictures: bool = False) -> str:
    """Renders a page with its styles and scripts inside and a policy that admits exactly those.

    Args:
        template: name in `assets/`.
        styles, scripts: names in `assets/`, joined in order.
        context: variables of the template; every printed one is escaped and made inert.
        pictures: whether the page holds pictures (as data URIs; none are ever fetched).

    Returns:
        The page, encodable as UTF-8.
    """
    css = palette.css() + _bars() + re.sub(r"/\*.*?\*/", "", "".join(_asset(name) for name in styles), flags=re.S)
    script = "".join(_asset(name) for name in scripts)
    # A blocked page must stay inert, so nothing is allowed but the two inline blocks, by their hashes (CSP Level 3).
    # Blocks of JSON need no hash: a script element of that type is data and never runs (HTML, 4.12.1).
    policy = (f"default-src 'none'; {'img-src data:; ' if pictures else ''}style-src {_source(css)}; script-src {_source(script)}; "
              "base-uri 'none'; form-action 'none'")
    return _environment().get_template(template).render(
        **context, css=Markup(css), script=Markup(script), policy=Markup(policy))


def write_private(path: Path, text: str) -> Path:
    """Writes a file that only its owner can read, whole or not at all.

    Raises:
        OSError: the folder cannot be written; no partial file stays behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))
    return path
