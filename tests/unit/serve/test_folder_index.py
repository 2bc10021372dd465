"""Finding records of a large file without holding it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_folders import TEXTS, structured, write_folder

from tcmstruct.errors import InputRefused
from tcmstruct.serve import folder_index
from tcmstruct.serve.folder_index import DONE, TOUCHED, FolderIndex, Query

N = 120


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "OUT", map(structured, range(N)))


def built(out):
    index = FolderIndex(out / "records.jsonl")
    index.build()
    assert index.fault is None and index.ready
    return index


@pytest.fixture(scope="module")
def index(out):
    return built(out)


def rows(index, limit=200, **query):
    return index.page(Query(**query), limit=limit).rows


RECORDS = [structured(n).to_dict() for n in range(N)]


def those(matches):
    return [n for n, record in enumerate(RECORDS) if matches(record)]


def test_every_record_is_read_back_from_its_place(index):
    assert len(index) == N and [index.read(row)["id"] for row in range(N)] == [record["id"] for record in RECORDS]
    assert index.row_of("r000077") == 77 and index.row_of("nobody") is None
    with pytest.raises(IndexError):
        index.read(N)


@pytest.mark.parametrize(("query", "matches"), [
    ({}, lambda r: True),
    ({"dept": "肛肠科"}, lambda r: r["dept"] == "肛肠科"),
    ({"dept": "不存在"}, lambda r: False),
    ({"field": "痰色"}, lambda r: "痰色" in r["fields"]),
    ({"field": "无此字段"}, lambda r: False),
    ({"field": "有无发热", "value": "无"}, lambda r: r["fields"].get("有无发热", {}).get("value") == "无"),
    ({"field": "最高体温", "value": "37.8"}, lambda r: "最高体温" in r["fields"]),
    ({"status": "无"}, lambda r: any(e["status"] == "无" for e in r["entities"])),
    ({"state": "flagged"}, lambda r: any(f["review"] for f in r["fields"].values())),
    ({"state": "warned"}, lambda r: bool(r["warnings"])),
    ({"state": "done"}, lambda r: False),
    ({"state": "conflict"}, lambda r: False),
    ({"words": "胃脘"}, lambda r: "胃脘" in r["text"]),
    ({"words": "R000011"}, lambda r: "r000011" in r["id"]),
    ({"words": "胃脘 第2份"}, lambda r: "胃脘" in r["text"] and "第2份" in r["text"]),
    ({"words": "confidence"}, lambda r: False),
    ({"words": "最高体温"}, lambda r: "最高体温" in r["fields"]),
    ({"words": '"'}, lambda r: False),
])
def test_filters_find_what_they_name(index, query, matches):
    assert rows(index, **query) == those(matches)


def test_low_confidence_comes_first_and_ties_keep_their_order(index):
    lowest = [min((f["confidence"] for f in r["fields"].values()), default=1.0) for r in RECORDS]
    assert rows(index, order="low") == sorted(range(N), key=lambda n: (lowest[n], n))


@pytest.mark.parametrize("query", [{}, {"order": "low"}, {"order": "low", "state": "flagged"}, {"words": "咳嗽"}])
def test_pages_follow_one_another_both_ways(index, query):
    everything = rows(index, **query)
    seen, cursor = [], None
    while page := index.page(Query(**query), cursor=cursor, limit=7).rows:
        seen += page
        cursor = page[-1]
    assert seen == everything
    back = index.page(Query(**query), cursor=everything[20], back=True, limit=7)
    assert back.rows == everything[13:20] and back.first == 13 and back.total == len(everything)
    assert index.page(Query(**query), cursor=everything[3], back=True, limit=7).rows == everything[:3]
    assert index.page(Query(**query), back=True, limit=7).rows == everything[-7:]


def test_a_cursor_that_no_longer_matches_still_has_its_place(out):
    index = built(out)
    index.state[:10] = DONE
    index.state[11] = TOUCHED
    assert index.page(Query(state="open"), cursor=5, limit=3).rows == [10, 11, 12]
    assert rows(index, state="done") == list(range(10)) and rows(index, state="touched") == [11]


def test_decided_values_are_no_longer_to_be_looked_for(out):
    index = built(out)
    flagged = rows(index, state="flagged")
    index.decided[flagged[0]] = 1
    assert rows(index, state="flagged") == flagged[1:]


def test_what_was_read_so_far_can_be_searched(out, monkeypatch):
    monkeypatch.setattr(folder_index, "PUBLISH_EVERY", 13)
    index, seen = FolderIndex(out / "records.jsonl"), []

    def published(first, end):
        seen.append((first, end))
        assert len(index) == end and index.page(Query(), back=True, limit=1).rows == [end - 1]

    index.build(published)
    assert seen[0] == (0, 13) and seen[-1][1] == N and rows(index, words="胃脘") == those(lambda r: "胃脘" in r["text"])
    assert rows(index, field="痰色") == those(lambda r: "痰色" in r["fields"])


def test_texts_are_not_held(tmp_path):
    long = [structured(n, "咳黄痰" + "长" * 20_000) for n in range(50)]
    index = built(write_folder(tmp_path / "OUT", long))
    held = sum(getattr(index._columns, name).nbytes for name in index._columns.__slots__)
    assert held < 100 * 50 and index.read(49)["text"].endswith("长")


def searched(record):
    values = [one for field in record["fields"].values() for one in np.atleast_1d(field["value"])]
    return "\n".join([record["id"], record["dept"], record["text"], *record["fields"], *map(str, values)]).lower()


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=12))
def test_any_search_is_answered_and_finds_what_holds_it(index, words):
    parts = words.strip().lower().split()
    expected = those(lambda record: all(part in searched(record) for part in parts))
    try:
        words.encode()
    except UnicodeEncodeError:
        return
    assert rows(index, words=words) == expected


def test_an_empty_file_is_an_empty_list(tmp_path):
    index = built(write_folder(tmp_path / "OUT", []))
    assert len(index) == 0 and index.page(Query(words="x")).total == 0 and index.row_of("r") is None


def test_a_line_that_is_no_record_ends_the_reading_and_says_where(tmp_path):
    out = write_folder(tmp_path / "OUT", [structured(0)])
    with (out / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("机密\n")
    index = FolderIndex(out / "records.jsonl")
    index.build()
    assert index.ready and "records.jsonl:2" in index.fault and "机密" not in index.fault


def test_a_file_that_changes_under_the_server_is_noticed(tmp_path):
    out = write_folder(tmp_path / "OUT", map(structured, range(5)))
    index = built(out)
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "records.jsonl").write_text("".join(reversed(lines)), encoding="utf-8")
    with pytest.raises(InputRefused, match="was changed"):
        index.read(0)


def test_many_departments_and_fields_fit(tmp_path):
    def one(n):
        record = structured(n, TEXTS[0])
        record.dept = f"科{n}"
        record.fields = {f"字段{n}": record.fields["有无发热"]}
        return record

    index = built(write_folder(tmp_path / "OUT", map(one, range(40))))
    assert rows(index, dept="科39") == [39] and rows(index, field="字段17") == [17]
    assert index._columns.fields.shape == (40, 5) and np.array_equal(rows(index), range(40))
    assert json.dumps(index.depts, ensure_ascii=False).count("科") == 40
