from dataclasses import replace

import cv2
import numpy as np
import pytest

from tcmstruct.image.crop import crop_tongue
from tcmstruct.image.tongue_numbers import N_COLOURS, N_LINES, N_RIM, colour_numbers, line_numbers, numbers_of, places_of, rim_numbers


def tongue(colour=(200, 110, 110), cracks=0, marks=0, side=300):
    """A drawn tongue: an ellipse on dark, with cracks along its middle and marks on its edge."""
    pixels, mask = np.full((side, side, 3), 30, np.uint8), np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (150, 150), (90, 120), 0, 0, 360, 255, -1)
    pixels[mask > 0] = colour
    for i in range(cracks):
        cv2.line(pixels, (140 + 10 * i, 100), (145 + 10 * i, 200), (120, 50, 50), 3)
    for i in range(marks):
        angle = np.pi * (0.1 + 0.8 * i / max(1, marks - 1))
        cv2.circle(pixels, (int(150 + 90 * np.cos(angle)), int(150 + 120 * np.sin(angle))), 8, (240, 190, 190), -1)
    return crop_tongue(pixels, mask)


def test_counts():
    crop = tongue()
    assert colour_numbers(crop).shape == (N_COLOURS,)
    assert line_numbers(crop).shape == (N_LINES,)
    assert rim_numbers(crop).shape == (N_RIM,)
    assert numbers_of(crop).dtype == np.float32 and np.isfinite(numbers_of(crop)).all()


def test_a_plain_tongue_has_its_colour_everywhere():
    numbers = colour_numbers(tongue((200, 110, 110)))[:84].reshape(7, 4, 3)
    lab = cv2.cvtColor(np.float32([[[200, 110, 110]]]) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    assert np.abs(numbers[:4, 0] - lab).max() < 0.5
    assert numbers[0, 1].max() < 0.5


def test_a_yellower_tongue_has_a_higher_b():
    assert colour_numbers(tongue((200, 150, 80)))[2] > colour_numbers(tongue())[2] + 10


def brighter(crop, gains):
    return replace(crop, pixels=np.clip(crop.pixels * np.array(gains), 0, 255).round().astype(np.uint8))


def test_another_light_adds_the_same_to_tongue_and_surroundings():
    gains = (1.1, 1.0, 0.9)
    moved = (colour_numbers(brighter(tongue(), gains)) - colour_numbers(tongue()))[84:]
    expected = 100 * np.log([1.1, 0.9])
    assert moved[0:2] == pytest.approx(expected, abs=1.5)  # middle of the body: ln R/G, ln B/G
    assert moved[84:86] == pytest.approx(expected, abs=6)  # beside it; 8-bit steps are coarse in the dark
    assert np.abs(moved[3:6]).max() < 1  # spread


def test_a_cut_out_has_no_surroundings():
    crop = tongue()
    cut = replace(crop, pixels=np.where(crop.mask[..., None], crop.pixels, np.uint8(0)))
    assert (colour_numbers(cut)[-9:] == 0).all() and (colour_numbers(crop)[-9:] != 0).any()


@pytest.mark.parametrize("gains", [(0.9, 0.9, 0.9), (1.1, 1.1, 1.1), (0.95, 1.0, 1.05)])
def test_lines_and_rim_do_not_depend_on_the_light(gains):
    crop = tongue(cracks=3, marks=9)
    for numbers in (line_numbers, rim_numbers):
        one, other = numbers(crop), numbers(brighter(crop, gains))
        assert np.abs(one - other).sum() < 0.1 * np.abs(one - numbers(tongue())).sum()


def test_cracks_are_lines_of_the_body():
    none, some = line_numbers(tongue()), line_numbers(tongue(cracks=3))
    assert none[0] < 0.5 < some[0]  # mean of the narrowest black top-hat
    assert some[:18].sum() > none[:18].sum() + 1


def test_marks_are_waves_of_the_rim():
    assert rim_numbers(tongue(marks=9))[:132].sum() > 1.5 * rim_numbers(tongue())[:132].sum()


def test_body_and_rim_share_no_place_fully():
    places = places_of(tongue())
    assert places.shape == (2, 14, 14) and places.min() >= 0 and places.max() <= 1
    assert places[0, 7, 7] == 1 and places[1, 7, 7] == 0
    assert (places.sum(0) <= 1.001).all() and places[:, 0, 0].sum() == 0


@pytest.mark.parametrize("size", [4, 15])
def test_a_speck_gives_zeros_not_an_error(size):
    pixels, mask = np.full((400, 400, 3), 90, np.uint8), np.zeros((400, 400), bool)
    mask[200 : 200 + size, 200:203] = True
    crop = crop_tongue(pixels, mask)
    assert np.isfinite(numbers_of(crop)).all()
