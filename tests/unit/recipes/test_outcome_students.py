"""Teachers and a student of outcomes, on invented cases."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="students are trained with torch")
from case_folder import case_folder, drawn_case  # noqa: E402
from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.errors import ModelError, TcmstructError, UsageError  # noqa: E402
from tcmstruct.evaluation.multilabel import macro_auroc  # noqa: E402
from tcmstruct.recipes import outcome_students as recipe  # noqa: E402
from tcmstruct.training.outcomes import KnownOutcomes, encoded, scores_of  # noqa: E402

FAST = recipe.OutcomeSettings(teacher_characters=30_000, teacher_rate=3e-3, student_characters=60_000, pruned_characters=4_000,
                              n_mixed=20, n_books=5)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("outcomes")
    data = case_folder(place / "data", 90)
    books = ({"text": drawn_case(i)["text"], "label": "0"} for i in range(900, 910))
    (data / "records" / "casebooks.jsonl").write_text("".join(json.dumps(book) + "\n" for book in books), encoding="utf-8")
    checkpoints = tiny_tagger()
    return recipe.Study(place / "run", data, [checkpoints / "checkpoint", checkpoints / "other"], FAST)


def test_teachers_the_ensemble_and_the_student_tell_the_outcomes_apart(study):
    assert not set(study.train) & set(study.test) and len(study.test) > 8
    texts = [study.texts[i] for i in study.test]
    scores, truth = study.teacher_scores(texts, "test"), study.truth[study.test]
    assert scores.shape == (3, len(texts), len(study.labels))
    assert macro_auroc(truth, study.ensemble(scores)) > 0.9
    assert study.weights.tolist() == [1 / 3] * 3  # there are no records to choose on
    assert macro_auroc(truth, scores_of(study.student(0), encoded(texts, study.table))) > 0.8


def test_the_graph_of_the_pruned_student_says_what_the_student_says(study):
    import onnxruntime

    student, pruned = study.student(0), study.pruned(0)
    assert sum(p.numel() for p in pruned.parameters()) < sum(p.numel() for p in student.parameters())
    (ids,) = encoded([study.texts[0]], study.table)[0]
    (said,) = scores_of(pruned, [[ids]])
    for int8, near in ((False, 1e-3), (True, 0.3)):
        session = onnxruntime.InferenceSession(str(study.graph(study.pruned(0), "pruned", int8=int8)))
        sums, counts = session.run(None, {"ids": ids[None].astype(np.int32)})
        assert np.abs(sums[0] / counts[0] - said).max() < near


def test_the_score_of_a_record_is_the_mean_over_the_characters_of_its_windows(study):
    net = study.student(0)
    windows = [study.table.encode(text).tolist() for text in ("咳嗽三天，" * 15, "痰黄")]
    padded = torch.tensor([windows[0], windows[1] + [0] * (len(windows[0]) - 2)])
    with torch.inference_mode():
        (together,) = net.of_records(padded, torch.tensor([0, 0]), 1)
        alone = [net.of_records(torch.tensor([window]), torch.tensor([0]), 1)[0] for window in windows]
    n = [len(window) for window in windows]
    assert torch.allclose(together, (n[0] * alone[0] + n[1] * alone[1]) / sum(n), atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


def test_what_is_refused(study, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="no teacher"):
        recipe.Study(tmp_path / "run", study.data, [])
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "weights.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError) as refused:
        recipe.Study(tmp_path / "run", study.data, [bad])
    assert refused.value.code == "model_unsafe_file"
    monkeypatch.setattr(KnownOutcomes, "loss", lambda self, model, batch: torch.tensor(float("inf"), requires_grad=True))
    with pytest.raises(TcmstructError) as refused:
        recipe.Study(tmp_path / "run", study.data, study.starts, FAST).teacher(0)
    assert refused.value.code == "loss_not_finite" and not (tmp_path / "run" / "teacher-0" / "weights.safetensors").exists()


def test_the_weights_are_those_that_rank_the_tuning_cases_best(study, monkeypatch):
    right = np.nan_to_num(study.truth[study.train])
    monkeypatch.setattr(study, "tune", study.train)
    monkeypatch.setattr(study, "teacher_scores", lambda texts, name, only=None: np.stack([-right, right, -right]))
    monkeypatch.delitem(vars(study), "weights", raising=False)
    assert study.weights[1] > 0.5
    del study.weights
