"""The benchmark of own models: another way to label is made by rule, and no judged text is learnt from."""


import pytest

from benchmarks import train_own


def record(n, source="best4sdt", text="咳嗽，无发热。"):
    text = f"{text}{n}"
    return {"id": f"r{n}", "source": source, "text": text, "fields": {},
            "entities": [{"type": "症状", "start": 4, "end": 6, "text": text[4:6], "status": "无"},
                         {"type": "症状", "start": 0, "end": 2, "text": text[:2], "status": "有"}]}


def test_a_denied_symptom_takes_its_negation_word_in():
    wide = train_own.widened(record(1))
    assert [(e["start"], e["end"], e["text"]) for e in wide["entities"]] == [(3, 6, "无发热"), (0, 2, "咳嗽")]
    assert train_own.widened({**wide, "text": "x" * 9})["entities"][0]["start"] == 3


@pytest.fixture
def data(tmp_path):
    train_own.write(tmp_path / "gold" / "train.jsonl", [record(n, "tcmchat" if n % 2 else "best4sdt") for n in range(140)])
    train_own.write(tmp_path / "gold" / "dev.jsonl", [record(n + 500) for n in range(6)])
    return tmp_path


def test_no_judged_text_is_learnt_from_and_the_seed_draws(data, tmp_path, monkeypatch):
    monkeypatch.setattr(train_own, "student_elsewhere", lambda data, work: work / "elsewhere")
    drawn = []
    for seed in (0, 1):
        work = tmp_path / f"unseen-{seed}"
        command = train_own.unseen(data, work, seed)
        some, rest = (train_own.read(work / name) for name in ("labels.jsonl", "rest.jsonl"))
        assert command[0] == "train" and len(some) == 50 and len(rest) == 20 + 6
        assert not {r["text"] for r in some} & {r["text"] for r in rest} and {r["source"] for r in (*some, *rest)} == {"best4sdt"}
        drawn.append({r["id"] for r in some})
    assert drawn[0] != drawn[1]


def test_a_row_tells_a_refusal_with_its_reason():
    figures = {"passes": [{"score": 0.5}], "start_score": 0.6, "compared": None}
    row = train_own.line("seen", 0, 1, ["1 min", "1 min", "1 MiB"], figures)
    assert len(row) == len(train_own.HEAD) and "refused: no pass beat it" in row[8]
