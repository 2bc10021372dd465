"""Colour as numbers: reference values, casts beside the tongue, colour cards."""

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct.image.card import PATCHES_SRGB, read_card
from tcmstruct.image.colour import (
    brightest_channel,
    correct_cast,
    estimate_light,
    lightness,
    linear_to_srgb,
    luminance,
    pixels_of,
    srgb_to_lab,
    srgb_to_linear,
)


@pytest.mark.parametrize(("rgb", "lab"), [
    ((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20)),
    ((0, 255, 0), (87.73, -86.18, 83.18)), ((0, 0, 255), (32.30, 79.19, -107.86)), ((128, 128, 128), (53.59, 0, 0))])
def test_lab_of_known_colours(rgb, lab):
    assert srgb_to_lab(np.array([rgb], np.uint8))[0] == pytest.approx(lab, abs=0.03)


def test_the_short_ways_give_what_the_long_ones_give():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    pixels[:5] //= 40  # the straight foot of L*
    mask = np.random.default_rng(1).random((40, 30)) > 0.5
    assert lightness(luminance(pixels)) == pytest.approx(srgb_to_lab(pixels)[..., 0], abs=1e-4)
    assert np.array_equal(pixels_of(pixels, mask), pixels[mask])
    assert np.array_equal(brightest_channel(pixels), pixels.max(axis=-1))


def test_every_grey_level_comes_back():
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(linear_to_srgb(srgb_to_linear(levels)), levels)


@pytest.mark.parametrize("body", ["淡白", "紫"])
def test_a_disease_colour_is_no_cast(body):
    usual, mask = draw(DrawnTongue(seed=2))
    ill, ill_mask = draw(DrawnTongue(seed=2, body=body, coating="黄"))
    a, b = estimate_light(usual, mask > 0), estimate_light(ill, ill_mask > 0)
    assert abs(a.log_rg - b.log_rg) < 0.03 and abs(a.log_bg - b.log_bg) < 0.03


def test_a_cast_is_seen_in_its_direction_and_taken_back_in_part():
    fine, mask = draw(DrawnTongue(seed=4))
    warm, _ = draw(DrawnTongue(seed=4, light=(1.35, 1.0, 0.7)))
    light, plain = estimate_light(warm, mask > 0), estimate_light(fine, mask > 0)
    assert light.log_rg > plain.log_rg and light.log_bg < plain.log_bg and light.spreads > plain.spreads
    mended = correct_cast(warm, light)
    inside = mask > 0

    def away(photo):
        return np.linalg.norm(np.median(srgb_to_lab(photo[inside]), axis=0) - np.median(srgb_to_lab(fine[inside]), axis=0))

    assert away(mended) < away(warm)


def test_a_tongue_cut_out_on_black_has_no_known_light():
    pixels, mask = draw(DrawnTongue(background="black"))
    assert estimate_light(pixels, mask > 0) is None


def card_photo(gains=(1.0, 1.0, 1.0)):
    cells = np.kron(PATCHES_SRGB.reshape(4, 6, 3), np.ones((40, 40, 1), np.uint8)).astype(np.uint8)
    shown = linear_to_srgb(srgb_to_linear(cells) * np.array(gains, np.float32))
    photo = np.full((300, 360, 3), 90, np.uint8)
    photo[60:220, 60:300] = shown
    return photo, np.array([(60, 60), (300, 60), (300, 220), (60, 220)], np.float32)


def test_a_card_with_given_corners_is_read_and_undoes_the_light():
    photo, corners = card_photo()
    assert read_card(photo, corners).error_delta_e < 1
    photo, corners = card_photo((0.9, 0.8, 0.55))
    reading = read_card(photo, corners)
    assert reading.is_card and reading.error_delta_e < 2 < reading.error_before_delta_e


def test_what_is_no_card_is_not_taken_for_one():
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (300, 360, 3), dtype=np.uint8), (0, 0), 3)
    assert not read_card(noise, card_photo()[1]).is_card
    with pytest.raises(ValueError, match="four corners"):
        read_card(noise, [(0, 0), (1, 0), (1, 1)])
