"""Where the outline and the cells of the attention map lie on the picture."""

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct.image.crop import crop_tongue
from tcmstruct.image.measures import measure
from tcmstruct.report.photo import GRID_SIDE, MAX_JPEG_BYTES, MAX_OUTLINE_POINTS, MAX_SIDE_PX, PhotoShown, shown_photo
from tcmstruct.report.photo_panel import _MEASURES

TURNED = [DrawnTongue(height_px=640, width_px=512, lean_deg=lean, size=0.5) for lean in (-25.0, -10.0, 0.0, 20.0)]
SHAPES = [*TURNED, DrawnTongue(300, 400, tooth_marks=5), DrawnTongue(97, 131, size=0.9), DrawnTongue(512, 384, length_ratio=0.8)]


def tip_of(what: DrawnTongue) -> np.ndarray:
    """Just inside of the tip, x, y in pixels of the drawing."""
    reach = 0.9 * what.size * min(what.height_px, what.width_px) / 2 * what.length_ratio
    lean = np.radians(what.lean_deg)
    return np.array([what.centre[0] * (what.width_px - 1) + reach * np.sin(lean),
                     what.centre[1] * (what.height_px - 1) + reach * np.cos(lean)])


def blue_spot(pixels: np.ndarray) -> np.ndarray:
    """Middle of what is blue, x, y from the edge of the first pixel."""
    rows, columns = np.nonzero(pixels[..., 2].astype(int) - pixels[..., 0] > 100)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


def seen(photo: PhotoShown) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(photo.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("what", TURNED, ids=lambda what: f"lean {what.lean_deg:g}")
def test_the_cell_over_the_tip_is_the_cell_that_saw_the_tip(what):
    pixels, mask = draw(what)
    cv2.circle(pixels, tuple(int(n) for n in np.rint(tip_of(what))), 7, (0, 0, 255), cv2.FILLED)
    crop = crop_tongue(pixels, mask)
    photo = shown_photo(pixels, mask, crop, {0: np.full(49, 1 / 49)}, {0: 0.5})
    a, b, c, d, e, f = photo.grid_to_photo
    x, y = blue_spot(crop.pixels) / (crop.pixels.shape[0] / GRID_SIDE)
    assert 5 <= y <= GRID_SIDE and 0 <= x <= GRID_SIDE, "the tip lies in the lower rows of an upright crop"
    drawn = np.array([a * x + c * y + e, b * x + d * y + f])
    assert np.hypot(*(drawn - blue_spot(seen(photo)))) < 0.3


@pytest.mark.parametrize("what", SHAPES, ids=lambda what: f"{what.height_px}x{what.width_px} {what.lean_deg:g}")
def test_the_outline_is_the_mask(what):
    pixels, mask = draw(what)
    photo = shown_photo(pixels, mask, crop_tongue(pixels, mask), {}, {})
    corners = np.array(photo.outline)
    assert 8 <= len(corners) <= MAX_OUTLINE_POINTS and corners.min() >= 0 and corners.max() <= 1
    scale = 4  # filled at four times the size, so that the filling's own rounding does not count
    filled = np.zeros((scale * mask.shape[0], scale * mask.shape[1]), np.uint8)
    cv2.fillPoly(filled, [np.rint(corners * filled.shape[::-1] - 0.5).astype(np.int32)], 1)
    whole = np.kron(mask, np.ones((scale, scale), bool))
    assert (whole & (filled > 0)).sum() / (whole | (filled > 0)).sum() > 0.97


def test_a_ragged_mask_keeps_to_the_number_of_points():
    rng = np.random.default_rng(0)
    mask = cv2.resize(rng.random((40, 40)).astype(np.float32), (400, 400), interpolation=cv2.INTER_CUBIC) > 0.35
    photo = shown_photo(np.zeros((400, 400, 3), np.uint8), mask, None, {}, {})
    assert 3 <= len(photo.outline) <= MAX_OUTLINE_POINTS


@pytest.mark.parametrize("shape", [(512, 384), (384, 512), (64, 64), (480, 1)])
def test_size_of_the_picture(shape):
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 0] = 200
    photo = shown_photo(pixels, None, None, {}, {})
    picture = seen(photo)
    assert picture.shape[:2] == (photo.height, photo.width)
    assert max(photo.width, photo.height) == min(max(shape), MAX_SIDE_PX)
    assert photo.outline == [] and not photo.attention
    assert abs(int(picture[..., 0].mean()) - 200) < 4 and picture[..., 2].mean() < 4, "red stays red"
    assert b"Exif" not in photo.jpeg and b"http" not in photo.jpeg


def test_a_picture_that_does_not_compress_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    assert len(shown_photo(noise, None, None, {}, {}).jpeg) <= MAX_JPEG_BYTES


def test_without_a_tongue_nothing_is_laid_over_the_photo():
    photo = shown_photo(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool), None, {0: [1 / 49] * 49}, {0: 1.0})
    assert photo.outline == [] and not photo.attention and not photo.gate


@pytest.mark.parametrize("weights", [[1.0], [float("nan")] * 49, [-0.1] * 49])
def test_maps_that_cannot_be_drawn_are_refused(weights):
    with pytest.raises(ValueError, match="entity 3"):
        PhotoShown(b"", 1, 1, attention={3: weights})


def test_a_gate_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        PhotoShown(b"", 1, 1, gate={0: float("inf")})


def test_every_measure_has_its_words():
    pixels, mask = draw(DrawnTongue())
    told = {name for _, _, names in _MEASURES for name in names}
    assert told == set(measure(crop_tongue(pixels, mask)))
