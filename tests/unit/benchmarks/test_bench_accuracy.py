import json

import pytest

from benchmarks import accuracy
from benchmarks.accuracy import NotBuilt, System
from benchmarks.baselines import Found
from tcmstruct.record import FieldValue, Mention


def line(number, source, dept, coating="白"):
    text = f"记录{number}：咳嗽，无发热，苔{coating}"
    at = text.index("咳")
    return {"id": f"r{number}", "dept": dept, "source": source, "text": text,
            "fields": {"咳嗽": {"value": "有", "start": at, "end": at + 2, "evidence": "咳嗽"},
                       "苔色": {"value": [coating], "start": len(text) - 1, "end": len(text), "evidence": coating}},
            "entities": [{"type": "症状", "start": at, "end": at + 2, "status": "有", "text": "咳嗽"},
                         {"type": "症状", "start": at + 4, "end": at + 6, "status": "无", "text": "发热"}]}


@pytest.fixture
def data(tmp_path):
    def write(path, lines):
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")

    styles = [("tcmchat", "其他"), ("tcmeval_sdt", "医案"), ("best4sdt", "门诊")]
    write(tmp_path / "gold" / "train.jsonl", [line(100 + i, *styles[i % 3]) for i in range(3)])
    write(tmp_path / "gold" / "dev.jsonl", [line(i, *styles[i % 3], coating="黄") for i in range(6)])
    for split in ("train", "dev"):
        write(tmp_path / "ner" / f"cshan.{split}.jsonl",
              [{"id": f"c{i}", "text": f"{split}{i}头痛", "entities": [{"type": "SYM", "start": len(split) + 1, "end": len(split) + 3}]}
               for i in range(3)])
    return tmp_path


def perfect(seen):
    """A system that knows how these records are written; `seen` collects what it is given."""
    def fit(train):
        seen["train"] = [r.text for r in train]

        def predict(texts):
            seen["texts"] = list(texts)
            out = []
            for text in texts:
                at = text.index("咳")
                out.append(Found([Mention("症状体征", at, at + 2, "有", 0.9), Mention("症状体征", at + 4, at + 6, "无", 0.8)],
                                 {"咳嗽": FieldValue("有", "咳嗽", at, at + 2, confidence=0.9),
                                  "苔色": FieldValue([text[-1]], text[-1], len(text) - 1, len(text), confidence=0.9)}))
            return out

        return predict

    return fit


def half_right(train):
    """Only the fields of symptoms, each wrong status; no mentions."""
    return lambda texts: [Found((), {"咳嗽": FieldValue("有", "咳嗽", 0, 1), "VAS评分": FieldValue(3, "", 0, 1)}) for _ in texts]


def absent():
    raise NotBuilt


def chosen(seen):
    return {"student": System("student", lambda: perfect(seen), lambda name: lambda train: lambda texts: [
                Found([Mention("SYM", len(t) - 2, len(t))]) for t in texts]),
            "keywords": System("keywords", lambda: half_right, has_entities=False),
            "int8": System("student int8", absent, lambda name: absent())}


def test_both_tables_in_one_run(data):
    seen = {}
    figures = accuracy.run(data, chosen(seen), ["cshan"], n_boot=50)
    rows = figures["clinical"]
    assert list(rows["student"]) == ["in-patient", "published", "outpatient", "all"]
    assert rows["student"]["all"]["field_micro_f1"][0] == 1
    assert rows["student"]["published"]["entity_strict_f1"][0] == 1
    assert rows["student"]["all"]["status_accuracy"][0] == 1
    assert rows["student"]["all"]["ece_fields"] == pytest.approx(0.1)
    assert rows["keywords"]["all"]["field_micro_f1"][0] == pytest.approx(0.5)  # one of two, and one that gold never holds
    assert "entity_strict_f1" not in rows["keywords"]["all"]
    assert rows["int8"] == accuracy.NOT_BUILT
    assert figures["labelled"]["student"]["cshan"]["entity_strict_f1"][0] == 1
    assert figures["labelled"]["int8"]["cshan"] == accuracy.NOT_BUILT and "keywords" not in figures["labelled"]
    json.dumps(figures, allow_nan=False)


def test_a_system_trains_on_train_and_sees_only_texts_of_dev(data):
    seen = {}
    accuracy.run(data, {"student": chosen(seen)["student"]}, [], n_boot=0)
    assert len(seen["train"]) == 3 and all("苔白" in text for text in seen["train"])
    assert len(seen["texts"]) == 6 and all(isinstance(text, str) and "苔黄" in text for text in seen["texts"])


def test_tables_are_printed_whole(data):
    titles = {"student": "student", "keywords": "keywords", "int8": "student int8"}
    figures = accuracy.run(data, chosen({}), ["cshan"], n_boot=50)
    table = accuracy.clinical_table(figures["clinical"], titles)
    assert [row[0] for row in table[1::3]] == ["in-patient (2)", "published (2)", "outpatient (2)", "all (6)"]
    assert all(len(row) == len(table[0]) for row in table)
    markdown = accuracy.render(table, markdown=True).splitlines()
    assert len(markdown) == len(table) + 1 and all(row.count("|") == len(table[0]) + 1 for row in markdown)
    plain = accuracy.render(accuracy.labelled_table(figures["labelled"], titles), markdown=False)
    assert "cshan (3)" in plain and "not built" in plain
    floors = accuracy.floors_table(figures["clinical"]["student"])
    assert len(floors) == 10 and {row[-1] for row in floors[1:]} == {"met"}  # no field has five gold values in a style


def test_cells():
    assert accuracy.cell([0.5, 0.25, 0.75]) == "0.500 [0.250, 0.750]"
    assert accuracy.cell([0.5, 0.25, 0.75], interval=False) == "0.500"
    assert accuracy.cell([None, None, None]) == accuracy.cell(None) == "–"


def test_models_that_are_not_there_are_not_built(tmp_path):
    known = accuracy.systems(None, tmp_path, None, None)
    for name in ("teacher", "student", "int8"):
        with pytest.raises(NotBuilt):
            known[name].clinical()
        with pytest.raises(NotBuilt):
            known[name].labelled("cshan")


def test_titles_say_which_model_is_shipped(tmp_path):
    shipped = accuracy.DEFAULT_FOLDER
    for student, int8, expected in ((None, tmp_path, ["student (shipped)", "student int8"]),
                                    (tmp_path, shipped, ["student", "student int8 (shipped)"]),
                                    (None, None, ["student (shipped)", "student int8"])):
        known = accuracy.systems(None, student, int8, None)
        assert [known["student"].title, known["int8"].title] == expected


def test_an_unknown_system_is_refused(monkeypatch, capsys, data):
    monkeypatch.setattr("sys.argv", ["accuracy", "--data", str(data), "--only", "students"])
    with pytest.raises(SystemExit, match="unknown system students; allowed: keywords"):
        accuracy.main()


def test_the_command_writes_figures_without_text(monkeypatch, capsys, data, tmp_path):
    out = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", ["accuracy", "--data", str(data), "--only", "keywords,int8", "--out", str(out), "--ner", "",
                                     "--n-boot", "20", "--markdown"])
    accuracy.main()
    printed = capsys.readouterr().out
    assert "| all (6) | keywords |" in printed and "| student int8 | not built |" in printed
    written = out.read_text(encoding="utf-8")
    assert set(json.loads(written)) == {"machine", "clinical", "labelled"} and "记录" not in written
