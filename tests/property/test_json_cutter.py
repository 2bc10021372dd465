import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.emr import jsonarray
from tcmstruct.emr.jsonarray import cut_items
from tcmstruct.emr.rows import Fault

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='头痛"\\[]{},: \n\u2028', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\]}主', max_size=3), inner, max_size=3),
    max_leaves=8)


class _Steps(io.BytesIO):
    """A stream that never gives more than `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def read(self, n: int = -1) -> bytes:
        return super().read(self._step)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=5), st.integers(1, 9), st.booleans(), st.sampled_from([None, 1]))
def test_elements_come_back_whatever_the_cut(values, step, ascii_only, indent):
    data = json.dumps(values, ensure_ascii=ascii_only, indent=indent).encode()
    assert [json.loads(item) for item in cut_items(_Steps(data, step))] == values


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(alphabet='ab"\\]', max_size=3), VALUES, max_size=3), st.lists(VALUES, max_size=4), st.integers(1, 9))
def test_a_list_under_a_key_comes_back_whatever_stands_before_it(before, values, step):
    data = json.dumps({**before, "entry": values, "after": [1]}).encode()
    assert [json.loads(item) for item in cut_items(_Steps(data, step), "entry")] == values


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 5))
def test_a_list_cut_off_anywhere_gives_its_complete_elements_and_one_fault(values, step):
    data = json.dumps(values).encode()
    for end in range(len(data)):
        *items, last = cut_items(_Steps(data[:end], step))
        assert isinstance(last, Fault) and last.code == "cut_short"
        whole = [json.loads(item) for item in items]
        assert whole == values[: len(whole)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 9), st.sampled_from([None, "data"]))
def test_any_bytes_end_and_raise_nothing(data, step, key):
    for item in cut_items(_Steps(b"[" * (key is None) + data, step), key):
        assert isinstance(item, bytes | Fault)


def test_an_element_beyond_the_limit_is_let_go(monkeypatch):
    monkeypatch.setattr(jsonarray, "MAX_ROW_CHARS", 1000)
    for long in (json.dumps("\\" * 3000), json.dumps(list(range(900))), json.dumps({"a": "头" * 3000})):
        data = f'[1, {long}, {{"a": 2}}]'.encode()
        items = list(cut_items(_Steps(data, 7)))
        assert [item.code if isinstance(item, Fault) else item for item in items] == [b"1", "row_too_long", b'{"a": 2}']
