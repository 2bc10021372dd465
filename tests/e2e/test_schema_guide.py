"""docs/schema-guide.md: its commands run in their order on its files, and print what it shows."""

import functools
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tcmstruct import cli
from tcmstruct.recipes.convert import StructurerFactory
from tcmstruct.schema import load_schema
from tcmstruct.schema.pack import starters

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "schema-guide.md").read_text("utf-8")
PARTS = re.findall(r'```(?:toml|text) title="(.*?)"\n(.*?)```|```console\n(.*?)```', GUIDE, re.S)
PROGRESS = re.compile(r"writing \S+$|[\d,]+ records \(")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    made = functools.cache(StructurerFactory.__call__)
    monkeypatch.setattr(StructurerFactory, "__call__", lambda self: made(self))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples" / "schemas", tmp_path / "examples" / "schemas")
    return tmp_path


def printed(line, capfd):
    program, *arguments = shlex.split(line)
    assert program == "tcmstruct"
    code = cli.run(arguments)
    said = capfd.readouterr()
    lines = [one for one in (said.out + said.err).splitlines() if not PROGRESS.match(one)]
    return code, "\n".join(lines)


def test_the_commands_print_what_the_page_shows(folder, capfd):
    commands = 0
    for file, body, console in PARTS:
        if file:
            (folder / file).write_text(body, "utf-8")
            continue
        for part in re.split(r"^\$ ", console, flags=re.M)[1:]:
            line, _, shown = part.partition("\n")
            code, said = printed(line, capfd)
            assert code == (3 if line.startswith("tcmstruct schema check") else 0), said
            pattern = r"[\d.,]+".join(re.escape(piece) for piece in shown.rstrip().split("… "))
            pattern = pattern if "convert" in line else re.escape(shown.rstrip())
            assert re.fullmatch(pattern.replace(r"[\d.,]+", r"[\d.,]+ "), said), f"{line}\n{said}"
            commands += 1
    assert commands == 10 and {file for file, _, _ in PARTS if file} == {"月经.toml", "草稿.toml"}


@pytest.mark.parametrize("pack", starters())
def test_the_invented_records_of_each_department_state_most_fields(pack, capfd, monkeypatch):
    import csv

    schema = load_schema(pack)
    rows = list(csv.DictReader((ROOT / "examples" / "schemas" / f"{pack}.csv").open(encoding="utf-8")))
    own = {name for name, field in schema.fields.items() if field.department == pack}
    stated = {name for row in rows for name in schema.extract(row["病历内容"])} & own
    assert 6 <= len(rows) <= 10 and own - stated <= {"产次"}
    assert "虚构" in (ROOT / "examples" / "schemas" / "README.md").read_text("utf-8")
