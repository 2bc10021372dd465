"""Packs as text: where a key stands in a file, and one field put in, changed or taken out with the rest left as it is."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tcmstruct.schema.pack import HERE, FieldSpec

_HEADER = re.compile(r"\s*\[(?!\[)[^\n]*\]\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_ORDER = {info.alias or name: number for number, (name, info) in enumerate(FieldSpec.model_fields.items())}
_LINE_CHARACTERS = 116


def places(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """(keys that lead there, line from 1) of each table and key that begins a line, in order of the file."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if _HEADER.match(line):
            if (path := _path(line)) is not None:
                table = path
                yield table, number
        elif (found := _KEY.match(line)) and (path := _path(f"{found[1]} = 0")) is not None:
            yield (*table, *path), number


def line_of(text: str | Iterable[tuple[tuple[str, ...], int]], keys: Sequence[object]) -> int | None:
    """The line of the key, of the first table below it, or of the nearest one around it; of a text, or of its `places`."""
    wanted, best, line = tuple(map(str, keys)), 0, None
    for path, number in places(text) if isinstance(text, str) else text:
        shared = min(len(path), len(wanted))
        if shared > best and path[:shared] == wanted[:shared]:
            best, line = shared, number
    return line


def field_text(name: str, spec: Mapping[str, Any]) -> str:
    """A field as TOML, its keys in the order of `FieldSpec`, its values as tables of their own."""
    head = f"fields.{_string(name)}"
    lines = [f"[{head}]", *_keys({key: value for key, value in spec.items() if key != "values"})]
    values = spec.get("values")
    for value, how in values.items() if isinstance(values, Mapping) else ():
        lines += [f"[{head}.values.{_string(value)}]", *(_keys(how) if isinstance(how, Mapping) else ())]
    return "\n".join(lines) + "\n"


def with_field(text: str, was: str | None, name: str | None, spec: Mapping[str, Any] | None) -> str:
    """The text of a pack with one field changed; comments and the other fields stay as they are.

    Args:
        text: a pack that is TOML.
        was: the field to change or take out; None adds one.
        name: its new name; None takes it out.
        spec: what it says, in the shape of the file.

    Raises:
        ValueError: the text is not TOML; or it is written so that one field cannot be changed by itself.
    """
    if spec is not None:
        spec = {key: value for key, value in spec.items() if key != "values" or value != {}}
    return _with_table(text, "fields", was, name, spec, "" if name is None or spec is None else field_text(name, spec))


def with_topic(text: str, name: str, spec: Mapping[str, Any]) -> str:
    """The same for one topic, which is added where it is not there. Raises as `with_field`."""
    return _with_table(text, "topics", name, name, spec, "\n".join([f"[topics.{_string(name)}]", *_keys(spec)]) + "\n")


def _with_table(text: str, kind: str, was: str | None, name: str | None, spec: Mapping[str, Any] | None, new: str) -> str:
    """The text with the lines of a table replaced by `new`, if what is read then differs in that alone."""
    data, lines = tomllib.loads(text), text.split("\n")
    if not isinstance(data.get(kind, {}), dict):
        raise ValueError(f"{kind} is no table")
    span = _span(lines, kind, was) if was is not None else None
    if span is None:
        out = text.rstrip("\n") + ("\n\n" if text.strip() else "") + new if new else text
    else:
        first, last = span
        out = "\n".join([*lines[:first], *(new.rstrip("\n").split("\n") if new else []), *lines[last:]])
    tables = {(name if key == was else key): (spec if key == was else value) for key, value in data.get(kind, {}).items()
              if key != was or new}
    if new and was not in data.get(kind, {}):
        tables[name] = spec  # type: ignore[index]
    found = tomllib.loads(out)
    if found != {**data, **({kind: tables} if tables or kind in found else {})}:
        raise ValueError("not written as a table of its own")
    return out


def renamed(text: str, name: str) -> str:
    """The text of a pack with another `name` in [pack].

    Raises:
        ValueError: no line gives it one.
    """
    line = next((number for path, number in places(text) if path == ("pack", "name")), None)
    if line is None:
        raise ValueError("no line gives the pack its name")
    lines = text.split("\n")
    lines[line - 1] = f"name = {_string(name)}"
    return "\n".join(lines)


def starter_text(name: str, with_examples: bool = True) -> str:
    """A new pack of this name: one commented example of each kind of field, or none."""
    text = (HERE / "starter.toml").read_text("utf-8")
    text = text if with_examples else text[: text.index("# 下面")].rstrip() + "\n"
    return renamed(text.replace('"{title}"', _string(name)), name)


def _span(lines: Sequence[str], kind: str, name: str) -> tuple[int, int] | None:
    """Lines of the tables of a field or topic: from its first header to the header of another thing, comments above that left to it."""
    first, last = None, len(lines)
    for number, line in enumerate(lines):
        if not _HEADER.match(line):
            continue
        own = (_path(line) or ())[:2] == (kind, name)
        if own and first is None:
            first = number
        elif not own and first is not None:
            last = number
            break
    if first is None:
        return None
    while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return first, last


def _path(text: str) -> tuple[str, ...] | None:
    """The keys that a header or `key = 0` names."""
    try:
        data: Any = tomllib.loads(text)
    except ValueError:
        return None
    path = []
    while isinstance(data, dict) and data:
        (key, data), = data.items()
        path.append(key)
    return tuple(path)


def _keys(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value, len(key) + 3)}" for key, value in sorted(table.items(), key=lambda one: _ORDER.get(one[0], 99))]


def _value(value: Any, used: int = 0) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return _list([_value(one) for one in value], used)
    return repr(value)


def _list(items: Sequence[str], used: int) -> str:
    whole = "[" + ", ".join(items) + "]"
    if len(whole) + used <= _LINE_CHARACTERS:
        return whole
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) + 6 > _LINE_CHARACTERS:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + item + ","
    return "[\n" + "\n".join(f"    {line}" for line in lines) + "\n]"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    """A basic string; JSON escapes all that TOML wants escaped but DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
