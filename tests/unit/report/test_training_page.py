"""The page of a training: a verdict, figures, curves, and names that cannot run."""

import re

from tcmstruct.evaluation import evaluate
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.report.training_page import curve, intervals, write_training_page


def record(n, *mentions):
    return StructuredRecord(str(n), "舌淡红，苔薄白。" * 3, [Mention(kind, start, end) for kind, start, end in mentions])


def figures(better=True, compared=True):
    gold = [record(n, ("舌质", 0, 3), ("舌苔", 4, 7)) for n in range(8)]
    good, poor = gold, [record(n, ("舌质", 0, 2), ("舌苔", 4, 7)) for n in range(8)]
    new, old = evaluate(gold, good, against=poor, n_boot=50).to_dict(), evaluate(gold, poor, n_boot=50).to_dict()
    return {"command": "train", "model": "<script>alert(1)</script>", "types": ["舌质", "舌苔"], "notes": ["a note"], "start_score": 0.5,
            "records": {"train": 30, "tune": 7, "judge": 8}, "seconds": 61.0, "share": 0.75, "shares": {},
            "passes": [{"loss": 1.0, "score": 0.4}, {"loss": 0.5, "score": 0.8}],
            "compared": {"better": better, "checks": [["entity strict F1", "0.5 → 1.0", "interval above 0", better]], "kept": None,
                         "gate": {"accepted": True, "speed": {"found": "1.2 ×", "allowed": "above 1", "ok": True}},
                         "new": new, "current": old} if compared else None}


def test_what_was_written_is_told_with_curves_and_both_figures(tmp_path):
    page = write_training_page(tmp_path / "report.html", figures()).read_text("utf-8")
    assert "优于现用模型" in page and page.count("<polyline") == 2 and "1.2 ×" in page
    assert page.count('class="pairs"') == 3  # all, 舌质, 舌苔
    assert "0.000" in page and "1.000" in page


def test_a_refusal_says_so_with_and_without_a_comparison(tmp_path):
    assert "没有胜过现用模型" in write_training_page(tmp_path / "a.html", figures(better=False)).read_text("utf-8")
    page = write_training_page(tmp_path / "b.html", figures(compared=False)).read_text("utf-8")
    assert "没有一遍胜过" in page and 'class="pairs"' not in page


def test_a_name_cannot_run_and_the_page_is_private(tmp_path):
    path = write_training_page(tmp_path / "report.html", figures())
    page = path.read_text("utf-8")
    assert "<script>alert" not in page and "default-src 'none'" in page
    assert path.stat().st_mode & 0o077 == 0
    assert not re.search(r'(?:src|href)="https?:', page)


def test_curves_and_intervals_say_their_numbers():
    assert "0.9000 → 0.3000" in curve([0.9, 0.5, 0.3], "loss", start=0.2) and 'class="start"' in curve([0.9, 0.5], "loss", start=0.2)
    assert curve([0.5], "one pass").count("<circle") == 1
    drawn = intervals({"value": None, "low": None, "high": None}, {"value": 0.5, "low": 0.25, "high": 0.75}, "舌质")
    assert 'x1="60.0" x2="180.0"' in drawn and "– → 0.500 (0.250–0.750)" in drawn
