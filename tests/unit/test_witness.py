"""The photo beside the text: independent where the text speaks, fused where it is silent, never in the text's way."""

import cv2
import numpy as np
import orjson
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct import Structurer
from tcmstruct.image.decode import decode
from tcmstruct.record import Record
from tcmstruct.runtime.fusion import FusedAnswer
from tcmstruct.witness import PhotoSide

SILENT, SPEAKS = "反复咳嗽3天，痰黄，口苦。脉滑数。", "反复咳嗽3天，痰黄，口苦。舌淡白，苔黄，脉滑数。"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    pixels, _ = draw(DrawnTongue(height_px=600, width_px=600, body="淡白", coating="黄"))
    (folder / "舌.png").write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    return folder


@pytest.fixture
def structurer(folder):
    return Structurer(threads=1, image_root=folder)


class Says:
    """A fusion that answers 白 and 暗紫 whatever it is asked."""

    def __init__(self, sure=True):
        self.sure = sure

    def read(self, reading, hidden, start):
        reading.n_characters += len(hidden)

    def answers(self, reading):
        return {"苔色": FusedAnswer({"白": 0.8, "淡黄": 0.1, "黄": 0.1}, "白" if self.sure else None),
                "舌色": FusedAnswer({"淡白": 0.1, "淡红": 0.1, "暗紫": 0.8}, "暗紫" if self.sure else None)}


def test_an_open_field_is_filled_by_both_and_a_stated_one_is_judged_by_the_photo_alone(structurer):
    structurer.photo_side.fusion = Says()
    silent, speaks = structurer.structure_many([Record("1", SILENT, image="舌.png"), Record("2", SPEAKS, image="舌.png")])
    assert (silent.fields["苔色"].value, silent.fields["苔色"].source, silent.fields["苔色"].review) == (["白"], "image", True)
    assert silent.fields["苔色"].confidence == 0.8
    assert silent.tongue["fused"]["苔色"] == {"value": "白", "confidence": 0.8}
    assert silent.tongue["attributes"]["苔色"]["value"] == "黄"  # the photo's own word is kept beside it
    assert (speaks.fields["苔色"].value, speaks.fields["苔色"].source) == (["黄"], "both")
    assert speaks.tongue["conflicts"] == []


def test_where_both_are_unsure_nothing_is_filled(structurer):
    structurer.photo_side.fusion = Says(sure=False)
    (result,) = structurer.structure_many([Record("1", SILENT, image="舌.png")])
    assert not {"苔色", "舌色"} & result.fields.keys() and result.tongue["fused"]["苔色"]["value"] is None


def test_a_fusion_of_another_text_model_is_not_used(folder, structurer):
    assert PhotoSide("0" * 64).fusion is None
    structurer.photo_side.fusion = None
    (result,) = structurer.structure_many([Record("1", SILENT, image="舌.png")])
    assert result.fields["苔色"].value == ["黄"] and "fused" not in result.tongue and "gate" not in result.tongue
    assert structurer.attention(SILENT, structurer.photo_side.examiner.look(decode(folder / "舌.png")), result.entities) == ({}, {})


def test_the_shipped_fusion_reads_every_character_once(structurer, monkeypatch):
    read = []
    shipped = structurer.photo_side.fusion.read
    monkeypatch.setattr(structurer.photo_side.fusion, "read", lambda reading, hidden, start: (read.append((start, len(hidden))),
                                                                                         shipped(reading, hidden, start)))
    text = "患者神清，精神可，咳嗽有痰。" * 100
    (result,) = structurer.structure_many([Record("1", text, image="舌.png")])
    covered = np.concatenate([np.arange(start, start + n) for start, n in read])
    assert len(read) > 1 and sorted(covered.tolist()) == list(range(len(text)))
    assert 0 < result.tongue["gate"] < 1 and set(result.tongue["fused"]) >= {"苔色", "舌色"}


def test_company_changes_no_byte_of_what_text_and_photo_say_together(structurer):
    records = [Record(str(i), SILENT * (i + 1), image="舌.png" if i % 2 else None) for i in range(6)]
    together = [orjson.dumps(r.to_dict()) for r in structurer.structure_many(records)]
    assert together == [orjson.dumps(structurer.structure_many([r])[0].to_dict()) for r in records]
    structurer.tagger.chars_per_batch = 64
    assert together == [orjson.dumps(r.to_dict()) for r in structurer.structure_many(records)]


def test_every_mention_has_its_attention(folder, structurer):
    text = SPEAKS
    result = structurer.structure(text)
    examined = structurer.photo_side.examiner.look(decode(folder / "舌.png"))
    attention, gates = structurer.attention(text, examined, result.entities)
    assert set(attention) == set(gates) == set(range(len(result.entities)))
    for weights in attention.values():
        assert len(weights) == 49 and min(weights) >= 0 and sum(weights) == pytest.approx(1, abs=1e-4)
    assert all(0 < gate < 1 for gate in gates.values())
