import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import InputRefused  # noqa: E402
from tcmstruct.model.image_encoder import IGNORE, Heads  # noqa: E402
from tcmstruct.model.segmenter import WIDTHS, Pyramid  # noqa: E402
from tcmstruct.training.loop import LoopConfig, fit  # noqa: E402
from tcmstruct.training.photos import (  # noqa: E402
    HEADS,
    SILVER_WEIGHT,
    AttributeObjective,
    MaskObjective,
    TonguePhoto,
    balance,
    folds,
    from_afar,
    label_arrays,
    load_mask,
    mask_batches,
    no_tongue,
    of_other_camera,
    photo_batches,
    photo_of,
    read_photos,
    recast,
    retaken,
    sway_of,
)


def row(**more):
    return {"id": "x1", "source": "tonguexpert", "batch": "A", **more}


def test_a_persons_crack_trains_presence_and_severity():
    photo = photo_of(row(human={"fissure": "severe"}))
    assert photo.labels == {"裂纹轻重": 1, "裂纹有无": 1}
    assert "齿痕有无" not in photo.labels  # not labelled is not "none"


def test_another_systems_severity_is_not_learnt():
    photo = photo_of(row(model={"coating": "greasy", "fissure": "severe", "tooth_mk": "none"}))
    assert photo.labels == {"裂纹有无": 1, "齿痕有无": 0, "腻": 1}
    assert not photo.human and max(photo.weights.values()) < 1


def test_batch_b_teaches_no_colour():
    assert photo_of({**row(human={"tai": "yellow", "zhi": "dark"}), "batch": "B"}).labels == {}
    assert photo_of(row(human={"tai": "light_yellow", "zhi": "dark"})).labels == {"苔色": 1, "舌色": 2}


def test_an_imported_set_names_heads_and_its_colours_train_only_when_asked():
    imported = {"id": "x", "source": "tcm-tongue", "by": "people", "labels": {"苔色": "白", "舌色": "暗紫", "裂纹有无": "有"}}
    photo = photo_of(imported)
    assert photo.labels == {"裂纹有无": 1} and photo.weights == {"裂纹有无": 1.0} and photo.human == {"裂纹有无"}
    assert photo_of({**imported, "train_colour": True}).labels == {"苔色": 0, "舌色": 2, "裂纹有无": 1}
    silver = photo_of({**imported, "by": "another system"})
    assert silver.weights == {"裂纹有无": SILVER_WEIGHT} and not silver.human


def test_a_box_is_given_by_its_corners():
    photo = photo_of({"id": "x", "source": "xiaocoding", "tongue_present": True, "box_cxcywh": [0.5, 0.6, 0.2, 0.4]})
    assert photo.box == pytest.approx((0.4, 0.4, 0.6, 0.8)) and photo.present is True


def test_absent_data_says_so(tmp_path):
    with pytest.raises(InputRefused):
        read_photos(tmp_path)


def test_an_empty_mask_is_no_mask(tmp_path):
    (tmp_path / "tongue" / "s").mkdir(parents=True)
    (tmp_path / "tongue" / "labels.jsonl").write_text(json.dumps({"id": "x", "source": "s"}) + "\n")
    (photo,) = read_photos(tmp_path)
    plane = np.zeros((20, 20), np.uint8)
    cv2.imwrite(str(tmp_path / "tongue" / "s" / "x.mask.png"), plane)
    assert load_mask(tmp_path, photo) is None
    plane[5:9, 5:9], plane[12:14, 12:14] = 128, 127
    cv2.imwrite(str(tmp_path / "tongue" / "s" / "x.mask.png"), plane)
    assert (load_mask(tmp_path, photo) > 0).sum() == 16


def test_what_nobody_labelled_is_ignored_in_arrays():
    labels, weights = label_arrays([TonguePhoto("a", "s", "A", {"苔色": 2}, {"苔色": 1.0}), TonguePhoto("b", "s", "A")])
    assert labels["苔色"].tolist() == [2, IGNORE] and labels["舌色"].tolist() == [IGNORE, IGNORE]
    assert weights["苔色"].tolist() == [1.0, 0.0] and set(labels) == set(HEADS)


def test_rare_classes_weigh_more():
    weights = balance(np.array([0, 0, 0, 1, IGNORE]), 2)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    trusted = balance(np.array([0, 0, 0, 1, IGNORE]), 2, np.array([0.2, 0.2, 0.2, 0.6, 9.0]))
    assert trusted.tolist() == pytest.approx([1.0, 1.0])


def test_every_photo_is_in_one_fold_and_folds_are_even():
    fold = folds(23, 5)
    assert np.bincount(fold).tolist() == [5, 5, 5, 4, 4]


def test_recast_moves_the_light_and_nothing_else():
    grey = np.full((2, 2, 3), 100, np.uint8)
    assert (recast(grey) == 100).all() and (recast(grey, 1.1) == 110).all()
    assert recast(grey, 1.0, 300)[0, 0].tolist() == [98, 100, 102]  # a higher colour temperature is bluer


def test_a_photo_taken_again_is_the_same_photo():
    pixels = np.random.default_rng(0).integers(60, 180, (40, 50, 3)).astype(np.uint8)
    takes = retaken(pixels, np.random.default_rng(2))
    assert len(takes) == 3 and all(t.shape == pixels.shape and t.dtype == np.uint8 for t in takes)
    exposed, lit, _ = (t.astype(float) for t in takes)
    ratio = exposed / pixels
    assert ratio.std() < 0.01 and 0.84 < ratio.mean() < 1.16 and abs(ratio.mean() - 1) > 0.01
    assert (lit[..., 1] == pixels[..., 1]).all() and (lit[..., 0] != pixels[..., 0]).any()


def test_half_of_the_other_camera_is_left_for_the_benchmark():
    photos = [TonguePhoto(f"b{i}", "tonguexpert", "B") for i in range(7)]
    photos += [TonguePhoto("a", "tonguexpert", "A"), TonguePhoto("c", "semton", "")]
    assert [p.id for p in of_other_camera(photos)] == ["b0", "b2", "b4", "b6"]
    assert of_other_camera(photos[::-1]) == of_other_camera(photos)


def test_what_is_seen_from_afar_keeps_size_and_tongue():
    rng = np.random.default_rng(0)
    pixels, mask = np.full((90, 120, 3), 80, np.uint8), np.zeros((90, 120), np.uint8)
    mask[30:70, 40:80] = 255
    far, plane = from_afar(np.full((96, 96, 3), 80, np.uint8), cv2.resize(mask, (96, 96)), 80, rng, cut_out=1.0)
    assert far.shape == (80, 80, 3) and plane.shape == (80, 80) and plane.any()
    assert all(no_tongue(80, pixels, rng).shape == (80, 80, 3) for _ in range(8))


def test_heads_lean_on_what_stays_when_a_photo_is_taken_again():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    features = (2 * truth[:, None] - 1 + rng.normal(0, 0.5, (200, 2))).astype(np.float32)  # both numbers tell the class …
    takes = np.stack([features, features], 1)
    takes[:, 1, 1] += rng.normal(0, 2, 200)  # … but the second moves
    labels, weights = {"裂纹轻重": truth}, {"裂纹轻重": np.ones(200, np.float32)}
    said = {}
    for still in (0.0, 3.0):
        heads = Heads({"lines": 2}, {"裂纹轻重": (2, ("lines",))})
        heads.standardise(torch.from_numpy(features))
        objective = AttributeObjective({"裂纹轻重": torch.ones(2)}, {"lines": 1e-3}, sway_of(heads, [takes]), {"裂纹轻重": still})
        fit(heads, objective, lambda: photo_batches(features, labels, weights, 64, rng), LoopConfig(n_characters=6000, learning_rate=3e-2),
            say=lambda line: None)
        with torch.inference_mode():
            one, two = (heads(torch.from_numpy(np.ascontiguousarray(takes[:, t])))["裂纹轻重"].argmax(1).numpy() for t in (0, 1))
        said[still] = (one == truth).mean(), (one != two).mean()
    assert said[3.0][0] > 0.9
    assert said[3.0][1] < 0.05 < said[0.0][1]


def test_sway_is_the_mean_square_change_and_sets_weigh_alike():
    heads = Heads({"lines": 1, "colours": 1}, {"裂纹轻重": (2, ("lines",))})
    small, large = np.zeros((50, 2, 2), np.float32), np.zeros((5, 3, 2), np.float32)
    small[:, 1, 0], large[:, 1:, 0] = 1.0, 2.0
    sway = sway_of(heads, [small, large])
    assert (sway["lines"] @ sway["lines"].T).item() == pytest.approx((1 + 4) / 2)
    assert sway["colours"].abs().max() == 0


def test_heads_learn_from_the_labelled_rows_alone():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 4)).astype(np.float32)
    labels = {"裂纹轻重": np.where(np.arange(300) < 150, (features[:, 0] > 0).astype(np.int64), IGNORE)}
    weights = {"裂纹轻重": np.ones(300, np.float32)}
    heads = Heads({"lines": 3, "colours": 1}, {"裂纹轻重": (2, ("lines",))})
    objective = AttributeObjective({"裂纹轻重": torch.ones(2)}, {"lines": 1e-3, "colours": 1e-3})
    progress = fit(heads, objective, lambda: photo_batches(features, labels, weights, 64, rng),
                   LoopConfig(n_characters=6000, learning_rate=3e-2), say=lambda line: None)
    assert progress.n_characters >= 6000
    with torch.inference_mode():
        said = heads(torch.from_numpy(features))["裂纹轻重"].argmax(1).numpy()
    assert (said[150:] == (features[150:, 0] > 0)).mean() > 0.9


def test_the_pyramid_learns_masks_boxes_and_emptiness_in_the_one_loop():
    rng = np.random.default_rng(0)
    n = 24
    target = np.zeros((n, 40, 40), np.uint8)
    kind = np.array([0, 1, 2] * (n // 3))
    features = [rng.normal(0, 0.1, (n, w, s, s)).astype(np.float16) for w, s in zip(WIDTHS, (40, 20, 10), strict=True)]
    for i in range(n):
        if kind[i] != 2:
            target[i, 10:30, 12:28] = 255
            for f, scale in zip(features, (1, 2, 4), strict=True):
                f[i, :, 10 // scale : 30 // scale, 12 // scale : 28 // scale] += 2
    torch.manual_seed(0)
    pyramid = Pyramid()
    fit(pyramid, MaskObjective(), lambda: mask_batches(features, target, kind, 12, rng), LoopConfig(n_characters=480, learning_rate=1e-2),
        say=lambda line: None)
    with torch.inference_mode():
        scores = pyramid.eval()([torch.from_numpy(f.astype(np.float32)) for f in features])
    inside = (scores > 0).float().mean((1, 2)).numpy()
    assert (inside[kind == 2] < 0.05).all() and (np.abs(inside[kind == 0] - 0.2) < 0.08).all()
