"""`tcmstruct adapter`, as it is called: train, look at, convert with it, and what is refused."""

import json

import pytest
from drawn_adapters import drawn_adapter

from tcmstruct.cli import run

TEXT = "反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。"


@pytest.fixture
def records(tmp_path):
    file = tmp_path / "病历.jsonl"
    file.write_text("".join(json.dumps({"id": str(i), "text": TEXT}, ensure_ascii=False) + "\n" for i in range(3)), encoding="utf-8")
    return file


def test_an_adapter_is_trained_shown_and_refused_for_the_shipped_model(tmp_path, capfdbinary):
    pytest.importorskip("peft")
    from tiny_tagger import tiny_tagger

    base = tiny_tagger() / "checkpoint"
    labels = tmp_path / "标注.jsonl"
    text = "舌淡红，苔薄白，脉弦。咳嗽三天，痰黄，无发热。"
    marked = [{"type": kind, "start": text.index(words), "end": text.index(words) + len(words), "text": words}
              for kind, words in (("舌苔", "苔薄白"), ("脉象", "脉弦"))]
    labels.write_text(json.dumps({"id": "1", "text": text, "entities": marked}, ensure_ascii=False) + "\n", encoding="utf-8")
    out = tmp_path / "院A"
    assert run(["adapter", "train", "-o", str(out), "--base", str(base), "--labels", str(labels), "--passes", "1", "--rank", "2"]) == 0
    told = capfdbinary.readouterr().err.decode()
    assert "parameters" in told and "adapter written" in told and text not in told
    assert run(["adapter", "info", str(out)]) == 0
    facts = json.loads(capfdbinary.readouterr().out)
    assert facts["steps"]["downstream"]["rank"] == 2 and "trained for" in facts["fits_model"]
    assert run(["structure", TEXT, "--adapter", str(out)]) == 4
    assert "it was trained for the tagger" in (told := capfdbinary.readouterr().err.decode()) and TEXT not in told


def test_convert_names_the_adapter_and_changes_with_it(tmp_path, records, capfdbinary):
    adapter = drawn_adapter(tmp_path / "院A", 1)
    for name, options in (("院", ["--adapter", str(adapter)]), ("随附", [])):
        assert run(["convert", str(records), "-o", str(tmp_path / name), "--format", "jsonl", "--workers", "1", "--no-report", "--schema",
                    "general", *options]) == 0
    with_it, without = (json.loads((tmp_path / name / "manifest.json").read_text(encoding="utf-8")) for name in ("院", "随附"))
    lines = [(tmp_path / name / "records.jsonl").read_text(encoding="utf-8").splitlines() for name in ("院", "随附")]
    models = [json.loads(found[0])["model"] for found in lines]
    assert models[0].partition("+")[0] == models[1] and "+" in models[0]
    assert with_it["settings"]["adapter"]["name"] == "院A" and without["settings"]["adapter"] is None
    assert len({json.dumps({**json.loads(line), "id": ""}) for line in lines[0]}) == 1


def test_bad_adapters_are_refused_before_anything_is_read(tmp_path, records, capfdbinary):
    pickled = drawn_adapter(tmp_path / "坏", 1)
    (pickled / "adapter_model.bin").write_bytes(b"\x80\x04.")
    other = drawn_adapter(tmp_path / "他", 1, base="0" * 64)
    for folder, words in ((pickled, "never loaded"), (other, "was trained for"), (tmp_path / "无", "no such folder")):
        assert run(["convert", str(records), "-o", str(tmp_path / "果"), "--adapter", str(folder), "--no-report"]) == 4
        assert words in capfdbinary.readouterr().err.decode() and not (tmp_path / "果" / "records.jsonl").exists()
        assert run(["adapter", "info", str(folder)]) == (0 if folder is other else 4)
        capfdbinary.readouterr()


def test_parts_that_do_not_exist_are_a_matter_of_usage(tmp_path, capfdbinary):
    pytest.importorskip("peft")
    assert run(["adapter", "train", "-o", str(tmp_path / "院A"), "--parts", "embedding"]) == 2
    assert "attention, feed-forward" in capfdbinary.readouterr().err.decode()
