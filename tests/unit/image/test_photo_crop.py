"""Masks are cleaned, tongues stand upright, and the way back to the photo is exact."""

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct.image.crop import CROP_SIDE_PX, GREY, clean_mask, crop_tongue, upright_angle_deg


def test_the_largest_piece_is_kept_and_its_holes_are_filled():
    mask = np.zeros((50, 60), np.uint8)
    mask[10:40, 10:40] = 1
    mask[20:25, 20:25] = 0
    mask[2:5, 50:55] = 1
    kept = clean_mask(mask)
    assert kept.sum() == 900 and kept[22, 22] and not kept[3, 52]
    assert not clean_mask(np.zeros((5, 5))).any()


@pytest.mark.parametrize("lean", [-25, -10, 0, 10, 25])
def test_a_leaning_tongue_is_turned_upright(lean):
    mask = np.zeros((300, 300), np.uint8)
    cv2.ellipse(mask, (150, 150), (50, 100), -lean, 0, 360, 1, -1)
    assert upright_angle_deg(mask) == pytest.approx(-lean, abs=1.0)
    crop = crop_tongue(np.zeros((300, 300, 3), np.uint8), mask)
    assert abs(upright_angle_deg(crop.mask)) < 1.5


def test_a_round_mask_is_left_as_it_stands():
    mask = np.zeros((200, 200), np.uint8)
    cv2.circle(mask, (100, 100), 60, 1, -1)
    assert upright_angle_deg(mask) == pytest.approx(0, abs=0.1)


def test_crop_holds_the_whole_tongue_and_maps_back():
    pixels, mask = draw(DrawnTongue(height_px=400, width_px=500, lean_deg=12, seed=1))
    crop = crop_tongue(pixels, mask)
    assert crop.pixels.shape == (CROP_SIDE_PX, CROP_SIDE_PX, 3)
    assert crop.mask.any() and not crop.mask[0].any() and not crop.mask[:, 0].any()
    points = np.array([[250.0, 200.0], [100.0, 300.0]])
    assert np.allclose(crop.to_photo(crop.to_crop(points)), points)
    back = crop.plane_on_photo(crop.mask.astype(np.float32)) > 0.5
    overlap = 2 * (back & clean_mask(mask)).sum() / (back.sum() + clean_mask(mask).sum())
    assert overlap > 0.97
    assert (crop.masked()[~crop.mask] == GREY).all()


def test_an_empty_mask_or_one_of_another_size_is_refused():
    pixels = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="empty"):
        crop_tongue(pixels, np.zeros((10, 10)))
    with pytest.raises(ValueError, match="photo is"):
        crop_tongue(pixels, np.ones((9, 10)))
