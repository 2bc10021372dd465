"""docs/hospital-guide.md: its files are read as it says, and its commands do what it says."""

import json
import re
import shlex
from pathlib import Path

import fake_structurers as fakes
import pytest
from conversions import Conversion

from tcmstruct import cli
from tcmstruct.recipes import convert as convert_recipe

GUIDE = (Path(__file__).parents[2] / "docs" / "hospital-guide.md").read_text("utf-8")
FILES = {name: body for _, name, body in re.findall(r'```(xml|csv) title="(\S+)"\n(.*?)```', GUIDE, re.S)}
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.S) for line in block.splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Fake())
    monkeypatch.chdir(tmp_path)
    for name, body in FILES.items():
        (tmp_path / name).write_text(body, "gb18030" if name.endswith("csv") else "utf-8")
    return tmp_path


def run(line):
    program, *arguments = shlex.split(line)
    assert program == "tcmstruct"
    return cli.run(arguments)


def test_the_commands_run_in_their_order(folder, capfd):
    codes = {line: run(line) for line in COMMANDS}
    assert len(codes) == len(COMMANDS) == 8 and set(FILES) == {"cda.xml", "MZBL.csv"}
    rejecting = next(line for line in COMMANDS if "convert MZBL.csv" in line)
    assert {line: code for line, code in codes.items() if code} == {rejecting: 3}
    shown = capfd.readouterr().out
    assert "胃脘胀痛" in shown and "MZ0001" not in shown and "D0001" not in shown  # the first record, without its numbers
    table = Conversion(3, folder / "结果")
    assert table.texts["0001"] == ("CHIEF_COMPLAINT：胃脘胀痛3天\nPRESENT_DISEASE_HISTORY：3天前饮食不慎后胃脘胀痛，嗳气，无呕吐。\n"
                                   "TCM_FOUR_OBSERVATIONS：舌淡红，苔白腻，脉弦。\nBZ：复诊时大便已成形")
    reject = re.search(r"```json\n(.*?)\n```", GUIDE, re.S)[1]
    assert [json.loads(line) for line in (folder / "结果" / "rejects.jsonl").read_text("utf-8").splitlines()] == [json.loads(reject)]
    (record,) = Conversion(0, folder / "结果-cda").records
    assert record["id"] == "MZ0001" and record["text"].startswith("主诉：胃脘胀痛3天\n现病史：3天前")
    assert record["extra"]["中医病名名称"] == "胃痞" and "文档类型" not in record["extra"]


@pytest.mark.parametrize("name", FILES)
def test_the_roles_are_those_of_the_tables(name, capfd):
    assert run(f"tcmstruct inspect {name} --json") == 0
    roles = {c["name"]: c["role"] for table in json.loads(capfd.readouterr().out)["tables"] for c in table["columns"]}
    if name == "cda.xml":
        assert roles["文档流水号"] == "id" and roles["门（急）诊号"] == "extra" and roles["中医证候名称"] == "extra"
        assert roles["主诉"] == roles["现病史"] == "text"
    else:
        assert roles == {"OUTP_NO": "id", "DEPT_NAME": "dept", "PATIENT_SEX": "extra", "VISIT_DATETIME": "extra", "CHIEF_COMPLAINT": "text",
                         "PRESENT_DISEASE_HISTORY": "text", "TCM_FOUR_OBSERVATIONS": "text", "DIALECTICAL_ACCROD": "extra", "BZ": "extra"}
