"""The speed table's own arithmetic; nothing here is timed."""

import json

import pytest
from PIL import Image

from benchmarks import photo_speed as bench


def ran(count=10, seconds=2.0, added_mb=100.0, **steps):
    return bench.Ran(count, seconds, 50.0, steps, added_mb, 4)


def test_a_figure_is_the_median_and_the_range():
    assert bench.figure([3, 1, 2]) == "2.0 (1.0–3.0)"
    assert bench.figure([]) == "–"


@pytest.mark.parametrize(("value", "least", "said"), [
    (150, True, "met"), (149, True, "missed"), (151, False, "missed"), (150, False, "met"), (None, True, "not measurable here")])
def test_a_target_is_met_on_its_own_side(value, least, said):
    words = bench.verdict(value, 150, least)
    assert words.endswith(said) and words.startswith("≥" if least else "≤")


def test_processes_side_by_side_add_up():
    assert bench.rate([ran(10, 2.0), ran(9, 3.0)]) == pytest.approx(8)


def test_memory_is_the_most_of_the_processes_that_could_tell():
    assert bench.added([ran(added_mb=90.0), ran(added_mb=None), ran(added_mb=120.0)]) == 120
    assert bench.added([ran(added_mb=None)]) is None


def measured(repeats=3):
    """Every case runs at 10 a second, one at 5 on all cores; the ceiling wanders."""
    asked = []

    def measure(job, processes, timed):
        asked.append((job, processes, timed))
        return [ran(10 if job.folder is None else 5, 1.0, network=4.0, attributes=9.0, decode=20.0) for _ in range(processes)]

    ceilings = iter([0.1, 0.3] * repeats)
    names = (bench.OURS, "smooth", "ResNet-50", "text", "text and photo")
    cases = [case for name in names for case in bench.both(name, bench.Job(folder="x" if name == "ResNet-50" else None))]
    return bench.measure_cases(cases, repeats, lambda: next(ceilings), cores=2, measure=measure), asked


def test_every_case_is_measured_once_in_each_repeat_in_another_order():
    results, asked = measured()
    assert all(len(rates) == 3 for rates in results.rates.values()) and len(asked) == 30
    assert {(processes, timed) for _, processes, timed in asked} == {(1, True), (2, False)}
    orders = [tuple(processes for _, processes, _ in asked[i : i + 10]) for i in range(0, 30, 10)]
    assert len(set(orders)) > 1


def test_ratios_are_taken_within_a_repeat():
    results, _ = measured()
    assert results.ceilings == pytest.approx([0.2] * 3)
    assert results.per_ceiling("ours, all cores") == pytest.approx([100] * 3)
    assert results.against("ours, all cores", "ResNet-50, all cores") == pytest.approx([2] * 3)


def test_tables_are_markdown_of_equal_width_with_verdicts_and_no_f1_that_nobody_measured():
    results, _ = measured()
    facts = {"ours": (400_000, 2.4, "trained"), "ResNet-50": (None, 95.0, "random, not trained here")}
    tables = {"path": bench.path_table(results, 2.4, {"photo": 2.6, "smooth": 0.9}), "steps": bench.steps_table(results),
              "networks": bench.networks_table(results, facts), "records": bench.records_table(results)}
    for table in tables.values():
        lines = table.splitlines()
        assert len({line.count("|") for line in lines}) == 1 and lines[1].startswith("| --- |")
    assert "≥ 150: missed" in tables["path"] and "≤ 250: met" in tables["path"] and "≤ 12: met" in tables["path"]
    assert "≥ 110: missed" in tables["records"] and "| 0 | ≤ 250: met |" in tables["records"]
    resnet = next(line for line in tables["networks"].splitlines() if "ResNet" in line)
    assert "not trained |" in resnet and "× 2.00" in resnet
    assert "| decode, scaled | 20.0 (20.0–20.0) |" in tables["steps"]


def test_texts_are_about_350_characters_and_differ():
    texts = bench.invented_texts(40)
    assert all(330 <= len(t) <= 370 for t in texts) and len(set(texts)) > 30
    assert texts == bench.invented_texts(40)


def test_drawn_photos_are_12_megapixels_and_differ(tmp_path, monkeypatch):
    assert bench.HEIGHT_PX * bench.WIDTH_PX == 12_000_000
    monkeypatch.setattr(bench, "HEIGHT_PX", 400)
    monkeypatch.setattr(bench, "WIDTH_PX", 300)
    photos = bench.write_photos(tmp_path / "p", 6, bench.GRAIN)
    assert {Image.open(p).size for p in photos} == {(300, 400)} and len({p.read_bytes() for p in photos}) == 6


def test_a_case_looks_at_photos_and_times_its_steps(tmp_path, monkeypatch):
    from tcmstruct.image import examine

    for name in ("decode", "measure_quality", "correct_cast", "crop_tongue", "measure"):
        monkeypatch.setattr(examine, name, getattr(examine, name))  # the timers go with the test
    monkeypatch.setattr(bench, "HEIGHT_PX", 1000)
    monkeypatch.setattr(bench, "WIDTH_PX", 750)
    photos = bench.write_photos(tmp_path / "p", 2, bench.GRAIN)
    found = bench.work(bench.Job(photos, seconds=0), timed=True)
    assert found.count == 3 and found.passed == 2
    assert bench.STEPS.keys() - {"correct_cast"} <= found.steps.keys() <= bench.STEPS.keys()


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (2.5, 0, 0), raising=False)
    assert bench.busy_cores() == 2.5
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (0.1, 9, 9), raising=False)
    assert bench.busy_cores() == 0


def test_without_the_training_extra_the_part_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None if name == "timm" else json)
    assert bench.missing_for_networks().startswith("timm not installed")
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: json)
    assert bench.missing_for_networks() is None
