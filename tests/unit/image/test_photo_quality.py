"""The gate judges how a photo was taken, and never what the tongue looks like."""

import tomllib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from drawn_tongue import BODIES, COATINGS, DrawnTongue, draw

from tcmstruct.image.colour import estimate_light
from tcmstruct.image.crop import crop_tongue
from tcmstruct.image.measures import measure
from tcmstruct.image.quality import REASONS, judge, measure_quality, thresholds

FINE = DrawnTongue(height_px=500, width_px=500, seed=5)


def verdict(what):
    pixels, mask = draw(what)
    return judge(measure_quality(pixels, mask > 0))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("coating", [None, *COATINGS])
def test_no_colour_of_a_tongue_is_a_failure(body, coating):
    assert verdict(replace(FINE, body=body, coating=coating)).reasons == ()


@pytest.mark.parametrize(("change", "reason"), [
    ({"blur_px": 6}, "blurred"), ({"exposure_ev": -5}, "too_dark"), ({"exposure_ev": 2.5}, "clipped"),
    ({"light": (1.8, 1.0, 0.3)}, "colour_cast"), ({"size": 0.1}, "tongue_too_small"), ({"centre": (0.98, 0.5)}, "tongue_cut")])
def test_each_damage_is_named(change, reason):
    quality = verdict(replace(FINE, **change))
    assert quality.status == "refused" and reason in quality.reasons
    assert set(quality.reasons) <= set(REASONS)


def test_without_a_tongue_that_is_the_only_reason():
    quality = judge(None)
    assert (quality.status, quality.reasons, quality.measures) == ("refused", ("no_tongue",), None)


def test_the_gates_light_is_that_of_the_surroundings():
    pixels, mask = draw(replace(FINE, light=(1.2, 1.0, 0.8)))
    assert measure_quality(pixels, mask > 0).light == estimate_light(pixels, mask > 0) is not None


def test_a_cut_tongue_counts_its_outline_on_the_photos_edge():
    mask = np.zeros((100, 100), bool)
    mask[60:, 30:70] = True  # 40 × 40: 156 pixels of outline, 40 of them on the edge
    assert measure_quality(np.full((100, 100, 3), 120, np.uint8), mask).cut_share == pytest.approx(40 / 156)


def test_a_cut_out_on_black_has_no_cast_and_passes():
    pixels, mask = draw(replace(FINE, background="black"))
    measures = measure_quality(pixels, mask > 0)
    assert measures.cast_spreads is None and judge(measures).status == "ok"


def test_sharpness_does_not_depend_on_the_photos_size():
    large, small = (measure_quality(*(lambda drawn: (drawn[0], drawn[1] > 0))(draw(replace(FINE, height_px=n, width_px=n, noise=0))))
                    for n in (1000, 500))
    assert large.sharpness == pytest.approx(small.sharpness, rel=0.5)


def test_every_limit_is_read():
    named = tomllib.loads(files("tcmstruct.image").joinpath("data/quality.toml").read_text("utf-8"))["thresholds"]
    assert named.keys() == thresholds().keys()
    assert len(named) == len(REASONS) - 1  # no_tongue is the network's


def test_measures_part_body_and_coating():
    pixels, mask = draw(replace(FINE, body="红", coating="白", coating_share=0.5, length_ratio=1.4))
    found = measure(crop_tongue(pixels, mask))
    assert found["body_a"] > found["coating_a"] + 6
    assert 0.1 < found["coating_area_ratio"] < 0.9
    assert found["length_width_ratio"] > 1.1
    bare = measure(crop_tongue(*draw(replace(FINE, coating=None, noise=0))))
    assert set(bare) == set(found) and bare["body_L"] is not None


def test_a_tongue_of_one_colour_has_no_coating_figures():
    pixels = np.full((200, 200, 3), (190, 110, 110), np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[50:150, 60:140] = True
    found = measure(crop_tongue(pixels, mask))
    assert found["coating_area_ratio"] is None and found["coating_L"] is None and found["body_a"] > 10
