"""examples/adapt_hospital.md: every command as it stands there, in order, on the data that it names; and the figures that it tells."""

import json
import shutil

import pytest
from doc_commands import lines_of, run
from doc_pages import ROOT, read_page

from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, sha256_of

pytest.importorskip("peft", reason="adapters are trained with peft")


def figures(gold, pred):
    line = next(line for line in lines_of(f"tcmstruct evaluate {gold} {pred} --json --n-boot 0"))
    code, said = run(line, ROOT)
    assert code == 0, said
    return json.loads(said)


def results(folder):
    return [{**json.loads(line), "model": ""} for line in (folder / "records.jsonl").read_text("utf-8").splitlines()]


def test_the_commands_of_the_page(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.py", "photos"))
    (tmp_path / "tcmstruct").symlink_to(ROOT / "tcmstruct")
    monkeypatch.chdir(tmp_path)
    before = sha256_of(DEFAULT_FOLDER / "model.onnx")
    for block in read_page(ROOT / "examples" / "adapt_hospital.md").blocks:
        for line in lines_of(block.text):
            code, said = run(line, tmp_path)
            assert code == 0, f"{line.text}\n{said}"
            assert "（虚构）第" not in said
    judge = "examples/hospital/judge.jsonl"
    untrained, trained, fused = (figures(judge, name)["entities"]["strict"]["f1"]["value"] for name in ("训前", "训后", "融合后"))
    assert 0.6 < untrained < 0.75 and trained > 0.9 and fused > 0.85
    assert sum(file.stat().st_size for file in (tmp_path / "适配器" / "本院").iterdir()) < 400_000
    assert sha256_of(DEFAULT_FOLDER / "model.onnx") == before
    assert json.loads((tmp_path / "本院编码器" / "adaptation.json").read_text("utf-8"))["earlier_after"] is not None


def test_the_data_are_what_their_program_writes(tmp_path):
    import runpy
    import sys

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_hospital.py", "-o", str(tmp_path)])
        runpy.run_path(str(ROOT / "examples" / "make_hospital.py"), run_name="__main__")
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (ROOT / "examples" / "hospital" / file.name).read_bytes()
