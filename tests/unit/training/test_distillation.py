"""Every objective teaches what it says, is 0 where there is nothing to learn, and does not read padding."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import ModelError, TcmstructError, UsageError  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.training.data import Example, collate  # noqa: E402
from tcmstruct.training.distillation import (  # noqa: E402
    LAYER_WISE,
    NEEDS_WORDS,
    attention_kl,
    attention_mse,
    hidden_cosine,
    hidden_mse,
    layer_map,
    make_objective,
    masked_scores,
    merged_heads,
)
from tcmstruct.training.loop import LoopConfig, fit, parameter_groups  # noqa: E402
from tcmstruct.training.objectives import MaskedLM  # noqa: E402
from tcmstruct.training.teachers import Ensemble  # noqa: E402

DEEP = EncoderConfig(hidden=24, n_layers=4, n_heads=4, feed=48, max_positions=40)
TEACHER = ModelConfig(DEEP, n_characters=20, readouts={"gold": ["症状", "舌质"], "cshan": ["SYM"]}, dropout=0.0)
NARROW = replace(DEEP, hidden=16, n_layers=2, n_heads=2, feed=32)
STUDENTS = {name: replace(TEACHER, encoder=NARROW) for name in LAYER_WISE}
STUDENTS["minialbert"] = replace(TEACHER, encoder=replace(NARROW, kind="shared", adapter=4), character_width=8)
READOUTS = {"gold": 1.0, "cshan": 0.4}
WITHOUT_MLM = {name: {"mlm_weight": 0.0} if name in NEEDS_WORDS else {} for name in LAYER_WISE}


def tagger(config, seed=0):
    torch.manual_seed(seed)
    return CharTagger(config)


def batch(teacher, lengths=(18, 12, 15), seed=0):
    rng = np.random.default_rng(seed)
    examples = [Example(rng.integers(3, 20, n).astype(np.int32)) for n in lengths]
    Ensemble([teacher]).label(examples, list(READOUTS))
    for e in examples:
        e.soft["word"] = np.arange(len(e)) // 2
    return collate(examples)


@pytest.mark.parametrize("name", LAYER_WISE)
def test_objective_lowers_its_own_loss_and_trains_its_projections(name):
    teacher = tagger(TEACHER)
    student, objective = tagger(STUDENTS[name], 1), make_objective(name, teacher, STUDENTS[name], READOUTS, hard_weight=0.0)
    before = {n: p.detach().clone() for n, p in objective.named_parameters()}
    frozen = [p.detach().clone() for p in teacher.parameters()]
    data, losses = batch(teacher), []

    class Watched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = objective

        def loss(self, model, given):
            torch.manual_seed(5)  # the same masks at every step
            value = self.inner.loss(model, given)
            losses.append(value.item())
            return value

    fit(student, Watched(), lambda: [data], LoopConfig(45 * 45, learning_rate=1e-2, log_every_s=1e9), say=lambda _: None)
    assert losses[-1] < 0.6 * losses[0]
    assert before and all(not torch.equal(before[n], p) for n, p in objective.named_parameters())
    assert any("projection" in n for n in before)
    assert all(torch.equal(a, b) for a, b in zip(frozen, teacher.parameters(), strict=True))


@pytest.mark.parametrize("name", LAYER_WISE)
def test_loss_is_0_where_the_student_is_the_teacher(name):
    teacher = tagger(TEACHER)
    student = tagger(TEACHER)
    layers = {m: m for m in range(1, 5)}
    objective = LAYER_WISE[name](teacher, TEACHER, READOUTS, hard_weight=0.0, layers=layers, **WITHOUT_MLM[name])
    data = batch(teacher)
    assert objective.loss(student, data).item() == pytest.approx(0.0, abs=1e-4)
    other = tagger(TEACHER, 9)
    assert objective.loss(other, data).item() > 0.05


@pytest.mark.parametrize("name", LAYER_WISE)
def test_padding_does_not_count(name):
    teacher = tagger(TEACHER)
    objective = LAYER_WISE[name](teacher, STUDENTS[name], READOUTS, hard_weight=0.0, **WITHOUT_MLM[name])
    student = tagger(STUDENTS[name], 1)
    data = batch(teacher, (13,))
    rng = torch.Generator().manual_seed(2)
    padded = replace(data, ids=torch.nn.functional.pad(data.ids, (0, 9)),
                     soft={k: torch.cat([v, torch.randn(1, 9, *v.shape[2:], generator=rng).to(v.dtype)], 1) for k, v in data.soft.items()})
    assert objective.loss(student, padded).item() == pytest.approx(objective.loss(student, data).item(), rel=1e-4)


@pytest.mark.parametrize("name", sorted(NEEDS_WORDS))
def test_masked_language_model_is_part_of_the_loss_and_does_not_see_the_lexicon(name):
    teacher = tagger(TEACHER)
    shape = replace(STUDENTS[name], lexicon_features=3)
    student = tagger(shape, 1)
    student.embedding.lexicon.weight.data.normal_()
    data = replace(batch(teacher), lexicon=torch.ones(3, 18, 3))
    objective = make_objective(name, teacher, shape, READOUTS)
    seen = []
    objective.mlm.loss = lambda model, given: seen.append(given.lexicon) or torch.tensor(7.0)
    full = objective.loss(student, data).item()
    objective.mlm_weight, weight = 0.0, objective.mlm_weight
    assert full == pytest.approx(objective.loss(student, data).item() + 7.0 * weight, rel=1e-5)
    assert seen == [None]


def test_formulas_by_hand():
    """The sums of the docstrings, written out in numpy, for one example of each term."""
    rng = np.random.default_rng(0)
    real = np.array([[True, True, False], [True, False, False]])
    h, t = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    places = [(0, 0), (0, 1), (1, 0)]
    mse = np.mean([((h[p] - t[p]) ** 2).mean() for p in places])
    cosine = np.mean([1 - h[p] @ t[p] / np.linalg.norm(h[p]) / np.linalg.norm(t[p]) for p in places])
    tensors = torch.from_numpy(h), torch.from_numpy(t), torch.from_numpy(real)
    assert hidden_mse(*tensors).item() == pytest.approx(mse)
    assert hidden_cosine(*tensors).item() == pytest.approx(cosine)

    a, b = rng.normal(size=(2, 2, 3, 3)), rng.normal(size=(2, 2, 3, 3))
    square, divergence, n = 0.0, 0.0, 0
    for i in range(2):
        k = int(real[i].sum())
        for head in range(2):
            for row in range(k):
                p, q = (np.exp(x[i, head, row, :k]) / np.exp(x[i, head, row, :k]).sum() for x in (b, a))
                square += ((a[i, head, row, :k] - b[i, head, row, :k]) ** 2).sum()
                divergence += (p * np.log(p / q)).sum()
                n += k
    seen = torch.from_numpy(real)
    scores = torch.from_numpy(a), torch.from_numpy(b)
    assert attention_mse(*scores, seen).item() == pytest.approx(square / n)
    assert attention_kl(scores[0], masked_scores(scores[1], seen).softmax(-1), seen).item() == pytest.approx(divergence / n, rel=1e-6)


def test_pkd_weighs_labels_soft_targets_and_layers():
    teacher, student = tagger(TEACHER), tagger(STUDENTS["pkd"], 1)
    data = batch(teacher)
    tags = torch.where(data.ids != 0, data.ids % 3, -100)
    data = replace(data, readout="gold", tags=tags, status=torch.full_like(tags, -100))

    def loss(hard_weight, layer_weight):
        torch.manual_seed(3)
        objective = make_objective("pkd", teacher, STUDENTS["pkd"], READOUTS, hard_weight=hard_weight, layer_weight=layer_weight)
        return objective.loss(student, data).item()

    soft, hard = loss(0.0, 0.0), loss(1.0, 0.0)
    assert loss(0.3, 0.0) == pytest.approx(0.7 * soft + 0.3 * hard, rel=1e-5)
    patience = loss(0.3, 1.0) - loss(0.3, 0.0)
    assert patience > 0 and loss(0.3, 50.0) - loss(0.3, 0.0) == pytest.approx(50 * patience, rel=1e-3)


def test_soft_constants_are_those_of_the_papers():
    teacher, shape = tagger(TEACHER), STUDENTS["tinybert"]
    made = {n: make_objective(n, teacher, STUDENTS[n], READOUTS) for n in LAYER_WISE}
    assert [(n, o.scores.soft_weight, o.scores.temperature, o.scores.hard_weight, o.layer_weight) for n, o in made.items()] == [
        ("pkd", 0.5, 5.0, 0.5, 100.0), ("tinybert", 1.0, 1.0, 0.0, 1.0), ("distilclinical", 5.0, 2.0, 0.0, 1.0),
        ("tinyclinical", 1.0, 1.0, 0.0, 1.0), ("minialbert", 5.0, 1.0, 0.0, 3.0)]
    assert (made["distilclinical"].mlm_weight, made["minialbert"].mlm_weight) == (2.0, 1.0)
    assert made["distilclinical"].layer_map == {2: 4} and made["minialbert"].layer_map == {1: 2, 2: 4}
    soft = make_objective("soft", None, shape, READOUTS)
    assert (soft.soft_weight, soft.temperature, soft.hard_weight) == (1.0, 2.0, 0.5)


def test_layer_maps_of_the_papers():
    assert layer_map("skip", 6, 12) == {1: 2, 2: 4, 3: 6, 4: 8, 5: 10}
    assert layer_map("last", 6, 12) == {1: 7, 2: 8, 3: 9, 4: 10, 5: 11}
    assert layer_map("uniform", 4, 12) == {1: 3, 2: 6, 3: 9, 4: 12}
    assert layer_map("uniform", 5, 12)[5] == 12


def test_neighbouring_heads_are_averaged_for_students_of_fewer_heads():
    attention = torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    assert merged_heads(attention, 2)[0, :, 0, 0].tolist() == [0.5, 2.5]
    assert merged_heads(attention, 4) is attention


def test_convolutional_student_learns_hidden_states_but_has_no_attention():
    teacher = tagger(TEACHER)
    conv = replace(TEACHER, encoder=EncoderConfig(kind="conv", hidden=16, n_layers=2, n_heads=2, feed=32, kernel=3, attention_after=(1,)))
    for name in ("pkd", "distilclinical"):
        loss = make_objective(name, teacher, conv, READOUTS).loss(tagger(conv), batch(teacher))
        loss.backward()
        assert math.isfinite(loss.item())
    for name in ("tinybert", "tinyclinical", "minialbert"):
        with pytest.raises(UsageError, match="student's encoder is 'conv'"):
            make_objective(name, teacher, conv, READOUTS)


@pytest.mark.parametrize(("student", "settings", "error", "message"), [
    ({}, {"layers": {1: 5}}, UsageError, "names teacher layer 5; the teacher has layers 1 to 4"),
    ({}, {"layers": {0: 1}}, UsageError, "names student layer 0; the student has layers 1 to 2"),
    ({}, {"layers": "middle"}, UsageError, "'middle' is none of uniform, skip, last"),
    ({"encoder": replace(NARROW, n_layers=6)}, {}, UsageError, "6 layers, more than the teacher's 4"),
    ({"encoder": replace(NARROW, n_layers=1)}, {"layers": "skip"}, UsageError, "map is empty"),
    ({"encoder": replace(NARROW, n_heads=8)}, {}, UsageError, "4 heads of the teacher cannot be grouped onto 8"),
    ({"n_characters": 21}, {}, ModelError, "student has 21 character rows, the teacher has 20"),
    ({"readouts": {"gold": ["症状", "舌苔"], "cshan": ["SYM"]}}, {}, ModelError, "'gold': the student has 症状, 舌苔; the teacher has"),
    ({"readouts": {"gold": ["症状", "舌质"]}}, {}, ModelError, "student has no readout 'cshan'; it has gold"),
    ({"n_statuses": 3}, {}, ModelError, "student tells 3 statuses apart, the teacher 4"),
])
def test_what_cannot_be_distilled_is_refused_with_the_reason(student, settings, error, message):
    with pytest.raises(error, match=message):
        make_objective("tinybert", tagger(TEACHER), replace(STUDENTS["tinybert"], **student), READOUTS, **settings)


def test_unknown_objective_and_layers_without_layers_are_refused():
    with pytest.raises(UsageError, match="'pdk' is none of soft, pkd, tinybert"):
        make_objective("pdk", None, TEACHER, READOUTS)
    with pytest.raises(UsageError, match="'soft' compares no layers"):
        make_objective("soft", None, TEACHER, READOUTS, layer_weight=2.0)


def test_teacher_is_neither_trained_nor_stored():
    objective = make_objective("tinybert", tagger(TEACHER).train(), STUDENTS["tinybert"], READOUTS)
    assert {name.split(".")[0] for name in objective.state_dict()} == {"embedding_projection", "projection"}
    parts = torch.nn.ModuleDict({"model": tagger(STUDENTS["tinybert"]), "objective": objective}).train()
    in_groups = sum(p.numel() for g in parameter_groups(parts, LoopConfig(1)) for p in g["params"])
    assert in_groups == sum(p.numel() for p in parts.parameters())
    assert not objective._held[0].training


def test_layer_wise_run_resumes_with_its_projections(tmp_path):
    teacher = tagger(TEACHER)
    data = batch(teacher)

    def run(n, folder):
        student = tagger(STUDENTS["tinyclinical"], 1)
        torch.manual_seed(4)
        objective = make_objective("tinyclinical", teacher, STUDENTS["tinyclinical"], READOUTS)
        config = LoopConfig(n, learning_rate=1e-2, log_every_s=1e9, checkpoint_every_s=-1.0)
        return objective, fit(student, objective, lambda: [data], config, folder, say=lambda _: None)

    first, progress = run(45 * 3, tmp_path / "run")
    again, after = run(45 * 3, tmp_path / "run")
    assert progress.step == after.step == 3
    assert torch.equal(first.projection.weight, again.projection.weight)


def test_loss_that_is_no_number_is_stopped_by_the_loop():
    teacher = tagger(TEACHER)
    data = batch(teacher)
    data.soft["tags:gold"][0, 0, 0] = float("nan")
    objective = make_objective("pkd", teacher, STUDENTS["pkd"], READOUTS)
    with pytest.raises(TcmstructError, match="loss became nan") as caught:
        fit(tagger(STUDENTS["pkd"]), objective, lambda: [data], LoopConfig(100), say=lambda _: None)
    assert caught.value.code == "loss_not_finite"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", LAYER_WISE)
def test_runs_on_a_gpu_with_a_teacher_that_was_loaded_on_the_cpu(name):
    teacher = tagger(TEACHER)
    data, student = batch(teacher), tagger(STUDENTS[name], 1)
    objective = make_objective(name, teacher, STUDENTS[name], READOUTS)
    assert fit(student, objective, lambda: [data], LoopConfig(90), say=lambda _: None, device="cuda").step == 2


def test_batch_in_which_nothing_is_masked_is_no_error():
    model, objective = tagger(TEACHER), MaskedLM(24, 20, mask_rate=0.0)
    value = objective.loss(model, batch(model))
    value.backward()
    assert value.item() == 0.0
