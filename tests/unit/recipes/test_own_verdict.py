"""When a new model takes the current one's place, and what happens to the folders."""

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")
pytest.importorskip("onnx")

from tcmstruct.errors import UsageError
from tcmstruct.evaluation import evaluate
from tcmstruct.recipes.acceptance import Verdict
from tcmstruct.recipes.own_run import RunFolder, aside_of, current_model, fingerprints
from tcmstruct.recipes.own_verdict import Compared, _gain, _kept, _not_worse, agreement, install
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER


def record(n, *mentions):
    return StructuredRecord(f"r{n}", "舌淡红，苔薄白，脉弦。咳嗽，无发热。", [Mention(*mention) for mention in mentions])


TONGUE, COAT, COUGH = ("舌质", 0, 3), ("舌苔", 4, 7), ("症状", 11, 13, "有")
GOLD = [record(n, TONGUE, COAT, COUGH) for n in range(12)]


def compared(new, old):
    result = evaluate(GOLD, new, against=old, n_boot=200)
    checks = (_gain(result), *_not_worse(result), *_kept(agreement(new, old, ["舌质", "舌苔", "症状"])))
    return Compared(result, None, None, checks, Verdict(()))


def test_a_gain_beyond_chance_is_better():
    found = compared(GOLD, [record(n, TONGUE, COUGH) for n in range(12)])
    assert found.better and found.reason == "" and "+" in found.checks[0].found


def test_a_gain_that_could_be_chance_is_refused_with_its_interval():
    old = [record(n, TONGUE, COAT, *([COUGH] if n else [])) for n in range(12)]
    found = compared(GOLD, old)
    assert not found.better and "asked interval above 0" in found.reason and "95 %" in found.reason


def test_a_status_that_is_lost_is_refused_though_more_is_found():
    old = [record(n, ("症状", 11, 13, "有")) for n in range(12)]
    new = [record(n, TONGUE, COAT, ("症状", 11, 13, "无")) for n in range(12)]
    found = compared(new, old)
    assert found.checks[0].ok and not found.better and found.reason.startswith("status accuracy")


def test_what_is_not_labelled_has_to_stay():
    others = [Mention("西药", 8, 10), Mention("病因", 11, 13)]
    labelled = ["舌质", "舌苔", "症状"]
    old = [StructuredRecord(r.id, r.text, others) for r in GOLD]
    assert agreement(old, old, labelled) == 1.0
    assert agreement(GOLD, old, labelled) == agreement(old, GOLD, labelled) == 0.0  # all is lost, or made up
    assert agreement(GOLD, GOLD, labelled) is None  # nothing else was read
    assert agreement(GOLD, [StructuredRecord(r.id, r.text, others if n < 3 else []) for n, r in enumerate(GOLD)], labelled) is None  # a few
    assert [check.ok for check in (*_kept(0.95), *_kept(0.5), *_kept(None))] == [True, False]


def folder(path, words):
    path.mkdir()
    (path / "card.json").write_text(words)
    return path


def test_a_model_takes_its_place_as_a_whole(tmp_path):
    made, out = folder(tmp_path / "made", "new"), folder(tmp_path / "own", "old")
    install(made, out)
    assert (out / "card.json").read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["own"]


def test_a_model_that_was_put_aside_when_the_power_went_comes_back(tmp_path):
    out = tmp_path / "own"
    folder(aside_of(out), "old")
    assert current_model(out, None, replace=True) == out and (out / "card.json").read_text() == "old"


def test_the_current_model_is_the_one_named_else_the_one_there_else_the_shipped_one(tmp_path):
    assert current_model(tmp_path / "own", None, False) == DEFAULT_FOLDER
    assert current_model(tmp_path / "own", tmp_path / "other", False) == tmp_path / "other"
    out = folder(tmp_path / "own", "old")
    assert current_model(out, None, True) == current_model(out, out, True) == out
    for model, replace in ((None, False), (tmp_path / "other", True)):
        with pytest.raises(UsageError) as caught:
            current_model(out, model, replace)
        assert caught.value.code == "out_exists"


def test_a_run_belongs_to_its_plan_and_to_one_process(tmp_path):
    with RunFolder(tmp_path / "own", {"seed": 1}) as run:
        assert run.path.stat().st_mode & 0o077 == 0 and not run.goes_on
        with pytest.raises(UsageError, match="another process"):
            RunFolder(tmp_path / "own", {"seed": 1})
        (run.run / "checkpoint").mkdir(parents=True)
    with RunFolder(tmp_path / "own", {"seed": 1}) as run:
        assert run.goes_on
    with pytest.raises(UsageError, match="--fresh"):
        RunFolder(tmp_path / "own", {"seed": 2})
    with RunFolder(tmp_path / "own", {"seed": 2}, fresh=True) as run:
        assert not run.goes_on and not run.run.exists()


def test_fingerprints_tell_files_and_folders_apart(tmp_path):
    for place in ("a", "b"):
        folder(tmp_path / place, place)
    files = [tmp_path / "a" / "card.json", tmp_path / "b" / "card.json", tmp_path / "a"]
    found = fingerprints(files)
    assert [name for name, _ in found] == ["card.json", "card.json", "a"] and len({sha for _, sha in found}) == 3
