"""The reading that linking is measured on, and how it is counted."""

from benchmarks.linking import READING, READING_FRESH, READING_FUZZY, Reading, read_readings, score
from tcmstruct.linking import SYSTEMS, shipped_codes


def test_readings_are_300_distinct_surfaces_with_codes_of_the_standards():
    readings = read_readings()
    assert len({reading.surface for reading in readings}) == len(readings) == 300
    assert 30 < sum(not reading.parts for reading in readings) < 100
    held = {(code.system, code.code) for code in shipped_codes()}
    for reading in readings:
        for part in reading.parts:
            for system, code in part:
                assert system in SYSTEMS.values()
                assert system == "ICD-10" or (system, code) in held or (system, code) == ("GB/T 16751.2-2021", "4.10")


def test_a_part_is_found_once_and_a_surface_without_code_costs_precision():
    a, b, c = ("s", "1"), ("s", "2"), ("s", "3")
    reading = Reading("甲;乙", "syndrome", (frozenset({a, b}), frozenset({c})))
    assert score(reading, [(*a, "exact"), (*c, "alias")]) == (2, 2, 2)
    assert score(reading, [(*a, "exact"), (*b, "alias")]) == (1, 2, 2)
    assert score(reading, [(*a, "exact"), (*a, "exact")]) == (1, 1, 2)
    assert score(Reading("丙", "syndrome", ()), [(*a, "exact")]) == (0, 1, 0)


def test_readings_hold_names_only():
    for path in (READING, READING_FRESH, READING_FUZZY):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert max(map(len, line.split("\t"))) <= 80
