"""Adapters beside the shipped model: switched from call to call, and nothing of one is left for the next."""

import orjson
import pytest
from drawn_adapters import drawn_adapter

from tcmstruct.errors import ModelError, UsageError
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record
from tcmstruct.runtime import memory_fit
from tcmstruct.runtime.adapted import Shelf
from tcmstruct.runtime.choice import Choice
from tcmstruct.runtime.memory import BatchMemory
from tcmstruct.runtime.model_folder import open_folder

TEXTS = ["反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。", "便血3天，肛门疼痛，无发热。舌淡红，苔薄白，脉弦。",
         "腰痛伴左下肢麻木1月。" * 30]
RECORDS = [Record(str(i), text) for i, text in enumerate(TEXTS)]


def lines(results):
    return [orjson.dumps(r.to_dict(), option=orjson.OPT_SERIALIZE_NUMPY) for r in results]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("院A", "院B")):
        drawn_adapter(place / name, seed)
    return place


@pytest.fixture(scope="module")
def shipped():
    return Structurer(schema="general", threads=1)


@pytest.fixture(scope="module")
def switching(folder):
    return Structurer(schema="general", threads=1, adapters=folder)


def test_without_an_adapter_named_the_bytes_are_the_shipped_models(shipped, switching):
    plain = lines(shipped.structure_many(RECORDS))
    assert lines(switching.structure_many(RECORDS)) == plain
    switching.structure_many(RECORDS, "院A")
    assert lines(switching.structure_many(RECORDS)) == plain
    assert switching.model_fingerprint == shipped.model_fingerprint


@pytest.fixture(scope="module")
def ones(folder):
    """A structurer for each adapter alone."""
    return {name: Structurer(schema="general", threads=1, adapter=folder / name) for name in ("院A", "院B")}


def test_interleaved_calls_give_what_each_gives_alone(switching, shipped, ones):
    alone = {name: lines(one.structure_many(RECORDS)) for name, one in [*ones.items(), (None, shipped)]}
    assert len({b"".join(found) for found in alone.values()}) == 3  # they differ, or the test could not fail
    for name in ("院A", None, "院B", "院B", "院A", None, "院A"):
        assert lines(switching.structure_many(RECORDS, name)) == alone[name]
        assert lines([switching.structure(TEXTS[1], id="1", adapter=name)]) == [alone[name][1]]


def test_results_name_the_adapter_beside_the_model(switching, ones):
    one = ones["院A"]
    base, _, adapter = one.model_fingerprint.partition("+")
    assert base == switching.model_fingerprint and one.shelf.adapters["院A"].fingerprint.startswith(adapter) and len(adapter) == 16
    assert one.structure(TEXTS[0]).model == switching.structure(TEXTS[0], adapter="院A").model == one.model_fingerprint
    assert switching.structure(TEXTS[0]).model == base


@pytest.mark.parametrize("name", ["院C", "", "../院A", "院A/", "."])
def test_a_name_is_looked_up_and_is_no_path(switching, name):
    with pytest.raises(UsageError) as caught:
        switching.structure(TEXTS[0], adapter=name)
    assert caught.value.code == "adapter_unknown"


def test_the_memory_limit_holds_with_an_adapter_too(folder, monkeypatch):
    monkeypatch.setattr(memory_fit, "remembered_fit", lambda *_: BatchMemory())
    limited = Structurer(schema="general", threads=1, adapters=folder, memory_limit_bytes=3 * 2**30)
    limited.structure(TEXTS[0], adapter="院A")
    assert limited.shelf.tagger(limited.tagger, limited.shelf.adapter("院A"), 1).budget is limited.tagger.budget is not None


def test_other_backends_are_refused_and_two_adapters_of_one_name(folder, tmp_path):
    shelf = Shelf(open_folder(), folder / "院A")
    with pytest.raises(UsageError) as caught:
        shelf.choice(Choice("openvino", 1, source="asked"), 1)
    assert caught.value.code == "backend_unusable"
    assert shelf.choice(Choice("openvino", 1, source="measured"), 2) == Choice(threads=2)
    with pytest.raises(UsageError) as caught:
        Shelf(open_folder(), drawn_adapter(tmp_path / "院A", 7), folder)
    assert caught.value.code == "adapter_named_twice"


def test_an_adapter_that_does_not_fit_is_refused_when_the_structurer_is_made(tmp_path):
    for name, changes, code in (("院B", {"base": "0" * 64}, "adapter_other_base"),
                                ("院C", {"labels": {"gold": ["症状"]}}, "adapter_other_labels")):
        with pytest.raises(ModelError) as caught:
            Structurer(schema="general", threads=1, adapter=drawn_adapter(tmp_path / name, 1, **changes))
        assert caught.value.code == code


def test_a_module_that_the_graph_does_not_have_is_refused(tmp_path, monkeypatch):
    import drawn_adapters

    for name, sizes in (("院A", {"encoder.layers.9.feed_in": (224, 448)}), ("院B", {"encoder.layers.0.feed_in": (224, 224)}),
                        ("院C", {"readouts.gold": (224, 17)})):
        monkeypatch.setattr(drawn_adapters, "SIZES", sizes)
        with pytest.raises(ModelError) as caught:
            Shelf(open_folder(), drawn_adapters.drawn_adapter(tmp_path / name, 1)).warm(1)
        assert caught.value.code == "adapter_no_place"
