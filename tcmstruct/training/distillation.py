"""Published distillation objectives that compare layers: PKD, TinyBERT, DistilClinicalBERT, TinyClinicalBERT, MiniALBERT.

Each is one class; the one training loop trains its projections with the student. Soft targets are read from the batch (they
may be those of an ensemble); layers are read from one teacher, which answers while the student learns, because the hidden
states of a corpus are too many to store.

The papers distil a masked language model or a classifier of whole texts; here a tagger of characters is distilled. So the
soft loss is over the readouts' tags of every character (not over masked pieces, not over [CLS]), and hidden states are
compared on every character. Padding never counts. Axes: B batch, T characters, S = T + 1 with the start vector, H hidden.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.errors import UsageError
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.encoder import EncoderTrace
from tcmstruct.model.tagger import CharTagger, TaggerOutput
from tcmstruct.training.data import Batch
from tcmstruct.training.objectives import Distillation, MaskedLM, Objective
from tcmstruct.training.teachers import check_labels

ObjectiveName = Literal["soft", "pkd", "tinybert", "distilclinical", "tinyclinical", "minialbert"]
LayerMap = dict[int, int]
"""Layer of the student → layer of the teacher, both from 1."""


def uniform_map(n_student: int, n_teacher: int) -> LayerMap:
    """g(m) = ⌊m·N/M⌋ for m = 1 … M: evenly spread, the last onto the last (TinyBERT's uniform strategy)."""
    return {m: m * n_teacher // n_student for m in range(1, n_student + 1)}


def skip_map(n_student: int, n_teacher: int) -> LayerMap:
    """PKD-skip: every ⌊N/M⌋-th layer without the last, which the soft targets already teach (12 → 6: 2, 4, 6, 8, 10)."""
    return {m: n for m, n in uniform_map(n_student, n_teacher).items() if m < n_student}


def last_map(n_student: int, n_teacher: int) -> LayerMap:
    """PKD-last: the last layers but one (12 → 6: 7, 8, 9, 10, 11)."""
    return {m: n_teacher - n_student + m for m in range(1, n_student)}


MAPS = {"uniform": uniform_map, "skip": skip_map, "last": last_map}


def layer_map(wanted: str | LayerMap, n_student: int, n_teacher: int) -> LayerMap:
    """A map by name or as given, checked.

    Raises:
        UsageError: an unknown name, an empty map, or a layer that a model does not have.
    """
    if isinstance(wanted, str):
        if wanted not in MAPS:
            raise UsageError(f"layer map {wanted!r} is none of {', '.join(MAPS)}", code="layer_map")
        if n_student > n_teacher:
            raise UsageError(f"the student has {n_student} layers, more than the teacher's {n_teacher}", code="layer_map",
                             hint="name the pairs of layers yourself, or take a student of fewer layers")
        wanted = MAPS[wanted](n_student, n_teacher)
    if not wanted:
        raise UsageError(f"the layer map is empty (student of {n_student} layers, teacher of {n_teacher})", code="layer_map",
                         hint="PKD's maps leave the last layer out, so they need a student of two layers or more")
    for who, numbers, most in (("student", wanted.keys(), n_student), ("teacher", wanted.values(), n_teacher)):
        wrong = [n for n in numbers if not 1 <= n <= most]
        if wrong:
            raise UsageError(f"the layer map names {who} layer {wrong[0]}; the {who} has layers 1 to {most}", code="layer_map")
    return dict(wanted)


def hidden_mse(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Mean square over the real characters (B, T) and H of two (B, T, H)."""
    return F.mse_loss(student[real], teacher[real])


def hidden_cosine(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """1 − cosine, mean over the real characters."""
    return 1 - F.cosine_similarity(student[real], teacher[real], dim=-1).mean()


def masked_scores(scores: Tensor, seen: Tensor) -> Tensor:
    """Scores (B, heads, S, S) with what may not be asked, by seen (B, S), pushed out of every softmax."""
    return scores.masked_fill(~seen[:, None, None, :], -1e4)


def attention_mse(student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
    """Mean square over the heads and the pairs of real positions of two (B, heads, S, S)."""
    pairs = seen[:, None, :, None] & seen[:, None, None, :]
    return (student - teacher).masked_fill(~pairs, 0.0).square().sum() / (pairs.sum() * student.shape[1])


def attention_kl(student: Tensor, teacher: Tensor, seen: Tensor) -> Tensor:
    """KL of the teacher's attention weights from the student's scores before the softmax, both (B, heads, S, S), mean over
    the heads and the pairs of real positions. Written so that one tensor of that size is kept for the gradient."""
    n_pairs = seen.sum(1).square().sum()
    wanted = teacher * seen[:, None, :, None]  # the rows of padding ask nothing
    difference = torch.xlogy(wanted, wanted).sum() - (wanted * masked_scores(student, seen).log_softmax(-1)).sum()
    return difference / (n_pairs * student.shape[1])


def merged_heads(attention: Tensor, n_heads: int) -> Tensor:
    """(B, h, S, S) → (B, n_heads, S, S): mean of each group of neighbouring heads. For students of fewer heads; ours, not
    of the papers, whose students have the teacher's."""
    batch, own, length, _ = attention.shape
    return attention if own == n_heads else attention.view(batch, n_heads, own // n_heads, length, length).mean(2)


def projection(n_from: int, n_to: int) -> nn.Linear:
    """A learnt map of the student's width onto the teacher's; it starts as the identity where the widths agree."""
    layer = nn.Linear(n_from, n_to)
    if n_from == n_to:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layer


def bridge(n_from: int, n_to: int) -> nn.Module:
    """As `projection`, for papers that have none: only where the widths differ."""
    return nn.Identity() if n_from == n_to else projection(n_from, n_to)


class LayerWise(nn.Module):
    """What these objectives share: the teacher, the map of layers, the loss of the scores.

    The teacher is held but is no part of the module: the loop neither trains it nor stores it in checkpoints.

    Args:
        teacher: answers in evaluation mode, without gradients.
        student: shape of the student.
        scores: the loss of the readouts' scores.
        layers: which layers are compared, see `layer_map`.
        attention: whether attention maps are compared.

    Raises:
        UsageError: a layer map out of range, an encoder without attention maps, heads that do not divide.
        ModelError: student and teacher do not share the character table's size or a readout's labels.
    """

    def __init__(self, teacher: CharTagger, student: ModelConfig, scores: Distillation, layers: str | LayerMap,
                 attention: bool = False) -> None:
        super().__init__()
        check_labels([teacher.config, student], ["the teacher", "the student"], list(scores.readout_weights))
        deep = teacher.config.encoder
        if attention:
            _check_attention(deep, student.encoder)
        self.layer_map = layer_map(layers, student.encoder.n_layers, deep.n_layers)
        self.scores, self.n_heads, self.widths = scores, student.encoder.n_heads, (student.encoder.hidden, deep.hidden)
        self._held = (teacher.eval(),)  # in a tuple, so that it is not registered as a sub-module

    def traces(self, model: CharTagger, batch: Batch) -> tuple[TaggerOutput, EncoderTrace, EncoderTrace]:
        """The student's scores and layers, and the teacher's layers."""
        teacher = self._held[0].to(batch.ids.device)
        output, own = model.trace(batch.ids, batch.lexicon)
        with torch.no_grad():
            _, taught = teacher.trace(batch.ids, batch.lexicon if teacher.config.lexicon_features else None)
        return output, own, taught


def _check_attention(teacher: EncoderConfig, student: EncoderConfig) -> None:
    for who, config in (("teacher", teacher), ("student", student)):
        if config.kind == "conv":
            raise UsageError(f"the {who}'s encoder is 'conv', which has no attention map in every layer", code="no_attention",
                             hint="take the objective soft, pkd or distilclinical, or a transformer")
    if teacher.n_heads % student.n_heads:
        raise UsageError(f"{teacher.n_heads} heads of the teacher cannot be grouped onto {student.n_heads} of the student",
                         code="heads_differ", hint="give the student a number of heads that divides the teacher's")


class Pkd(LayerWise):
    """Patient knowledge distillation (Sun et al. 2019, EMNLP, "Patient Knowledge Distillation for BERT Model Compression").

        L = (1 − α)·CE(labels) + α·T²·KL(p_T ‖ p_S) + β · mean_j ‖ h_j/‖h_j‖ − t_g(j)/‖t_g(j)‖ ‖² / H

    g leaves the last layer out: "skip" spreads over the teacher, "last" takes its top. The paper compares [CLS], here every
    character; it tries T in 5, 10, 20, α in 0.2, 0.5, 0.7 and β in 10 … 1000. As in the authors' code the square is divided
    by H. Works with a convolutional student too.

    Args:
        hard_weight: 1 − α.
        layer_weight: β.
        layers: "skip", "last", or pairs.
    """

    def __init__(self, teacher: CharTagger, student: ModelConfig, readout_weights: dict[str, float], *, temperature: float = 5.0,
                 hard_weight: float = 0.5, layer_weight: float = 100.0, layers: str | LayerMap = "skip") -> None:
        super().__init__(teacher, student, Distillation(readout_weights, temperature, hard_weight, 1 - hard_weight), layers)
        self.layer_weight = layer_weight
        self.projection = bridge(*self.widths)

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, own, taught = self.traces(model, batch)
        real = batch.ids != 0
        patience = sum(hidden_mse(F.normalize(self.projection(own.hidden[m]), dim=-1), F.normalize(taught.hidden[n], dim=-1), real)
                       for m, n in self.layer_map.items()) / len(self.layer_map)
        return self.scores.of(output, batch) + self.layer_weight * patience


class _AttentionAndHidden(LayerWise):
    """What the two that compare attention and hidden states of mapped layers share: settings and projections.

    Attributes:
        embedding_apart: the embeddings have a projection of their own.
    """

    embedding_apart = False

    def __init__(self, teacher: CharTagger, student: ModelConfig, readout_weights: dict[str, float], *, temperature: float = 1.0,
                 hard_weight: float = 0.0, layer_weight: float = 1.0, layers: str | LayerMap = "uniform") -> None:
        super().__init__(teacher, student, Distillation(readout_weights, temperature, hard_weight), layers, attention=True)
        self.layer_weight = layer_weight
        self.projection = projection(*self.widths)
        self.embedding_projection = projection(*self.widths) if self.embedding_apart else None


class TinyBert(_AttentionAndHidden):
    """TinyBERT (Jiao et al. 2020, Findings of EMNLP, "TinyBERT: Distilling BERT for Natural Language Understanding").

        L = MSE(E·W_e, E_T) + Σ_m [ (1/h) Σ_i MSE(A_i, A_T,i) + MSE(H_m·W_h, H_T,g(m)) ] + KL(p_T ‖ p_S)

    A is the attention before the softmax (the paper: it converges faster), W_h one projection for all layers, g uniform,
    every λ is 1, T = 1. No hard labels unless asked for.

    Args:
        layer_weight: of all terms but the last.
    """

    embedding_apart = True

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, own, taught = self.traces(model, batch)
        real = batch.ids != 0
        total = hidden_mse(self.embedding_projection(own.hidden[0]), taught.hidden[0], real)
        for m, n in self.layer_map.items():
            total = total + attention_mse(own.attention[m - 1], merged_heads(taught.attention[n - 1], self.n_heads), own.seen)
            total = total + hidden_mse(self.projection(own.hidden[m]), taught.hidden[n], real)
        return self.scores.of(output, batch) + self.layer_weight * total


class TinyClinical(_AttentionAndHidden):
    """TinyClinicalBERT (Rohanian et al. 2023, Natural Language Engineering, "Lightweight transformers for clinical natural
    language processing").

        L = Σ_m MSE(softmax A_m, softmax A_T,g(m)) + Σ_{m ≥ 0} MSE(H_m·W, H_T,g(m)) + KL(p_T ‖ p_S)

    W is one projection for the embeddings (m = 0) and all layers, g uniform, T = 1, as in the authors' code.

    Args:
        layer_weight: of all terms but the last.
    """

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, own, taught = self.traces(model, batch)
        real = batch.ids != 0
        total = hidden_mse(self.projection(own.hidden[0]), taught.hidden[0], real)
        for m, n in self.layer_map.items():
            wanted = merged_heads(masked_scores(taught.attention[n - 1], own.seen).softmax(-1), self.n_heads)
            total = total + attention_mse(masked_scores(own.attention[m - 1], own.seen).softmax(-1), wanted, own.seen)
            total = total + hidden_mse(self.projection(own.hidden[m]), taught.hidden[n], real)
        return self.scores.of(output, batch) + self.layer_weight * total


class DistilClinical(LayerWise):
    """DistilClinicalBERT (Rohanian et al. 2023, as above; the loss of DistilBERT, Sanh et al. 2019).

        L = 5 · T² · KL(p_T ‖ p_S) + 2 · MLM + 1 · (1 − cos(h_M, t_N))

    with T = 2, on the last layers, 15 % of the characters masked (whole words). The paper's student begins as every second
    layer of its teacher (`student_from_layers`). The masked text goes through the student alone, in a pass of its own and
    without the lexicon channel, which would give the masked words away. Works with a convolutional student too.

    Args:
        layer_weight: of the cosine.
        mlm_weight: of the masked language model; 0 leaves that pass out.

    Uses `batch.soft["word"]` for the masks.
    """

    def __init__(self, teacher: CharTagger, student: ModelConfig, readout_weights: dict[str, float], *, temperature: float = 2.0,
                 hard_weight: float = 0.0, layer_weight: float = 1.0, layers: str | LayerMap | None = None,
                 soft_weight: float = 5.0, mlm_weight: float = 2.0) -> None:
        last = {student.encoder.n_layers: teacher.config.encoder.n_layers}
        super().__init__(teacher, student, Distillation(readout_weights, temperature, hard_weight, soft_weight), layers or last)
        self.layer_weight, self.mlm_weight = layer_weight, mlm_weight
        self.projection, self.mlm = bridge(*self.widths), _mlm(student)

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, own, taught = self.traces(model, batch)
        cosine = sum(hidden_cosine(self.projection(own.hidden[m]), taught.hidden[n], batch.ids != 0)
                     for m, n in self.layer_map.items()) / len(self.layer_map)
        return self.scores.of(output, batch) + self.layer_weight * cosine + masked(self.mlm, self.mlm_weight, model, batch)


class MiniAlbert(LayerWise):
    """MiniALBERT (Nouriborji et al. 2023, EACL, "MiniALBERT: Model Distillation via Parameter-Efficient Recursive Transformers").

        L = 5 · KL(p_T ‖ p_S) + 3 · Σ_m [ KL(softmax A_T,g(m) ‖ softmax A_m) + (1 − cos(H_m, H_T,g(m))) ] + 1 · MLM

    T = 1, g uniform (every second layer for 12 → 6), 15 % masked, constants as in the authors' code, which averages the KL
    of attention over the asked positions too, as here. Made for an encoder of kind "shared" with adapters; any
    transformer will do.

    Args:
        layer_weight: of the sum over layers.
        mlm_weight: of the masked language model; 0 leaves that pass out.

    Uses `batch.soft["word"]` for the masks.
    """

    def __init__(self, teacher: CharTagger, student: ModelConfig, readout_weights: dict[str, float], *, temperature: float = 1.0,
                 hard_weight: float = 0.0, layer_weight: float = 3.0, layers: str | LayerMap = "uniform",
                 soft_weight: float = 5.0, mlm_weight: float = 1.0) -> None:
        scores = Distillation(readout_weights, temperature, hard_weight, soft_weight)
        super().__init__(teacher, student, scores, layers, attention=True)
        self.layer_weight, self.mlm_weight = layer_weight, mlm_weight
        self.projection, self.mlm = bridge(*self.widths), _mlm(student)

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, own, taught = self.traces(model, batch)
        total = torch.zeros((), device=batch.ids.device)
        for m, n in self.layer_map.items():
            wanted = merged_heads(masked_scores(taught.attention[n - 1], own.seen).softmax(-1), self.n_heads)
            total = total + attention_kl(own.attention[m - 1], wanted, own.seen)
            total = total + hidden_cosine(self.projection(own.hidden[m]), taught.hidden[n], batch.ids != 0)
        return self.scores.of(output, batch) + self.layer_weight * total + masked(self.mlm, self.mlm_weight, model, batch)


def _mlm(student: ModelConfig) -> MaskedLM:
    return MaskedLM(student.encoder.hidden, student.n_characters, mask_rate=0.15, character_width=student.character_width)


def masked(mlm: MaskedLM, weight: float, model: CharTagger, batch: Batch) -> Tensor | float:
    """Weighted loss of the student's masked language model on the batch, without the lexicon channel."""
    return weight * mlm.loss(model, replace(batch, lexicon=None)) if weight else 0.0


LAYER_WISE: dict[str, type[LayerWise]] = {"pkd": Pkd, "tinybert": TinyBert, "distilclinical": DistilClinical,
                                          "tinyclinical": TinyClinical, "minialbert": MiniAlbert}
NEEDS_WORDS = frozenset({"distilclinical", "minialbert"})
"""Objectives that mask whole words, so that examples must carry `soft["word"]`."""


def make_objective(name: ObjectiveName, teacher: CharTagger | None, student: ModelConfig, readout_weights: dict[str, float], *,
                   temperature: float | None = None, hard_weight: float | None = None, layer_weight: float | None = None,
                   layers: str | LayerMap | None = None) -> Objective:
    """The objective of that name; settings left at None are the paper's (see each class).

    Raises:
        UsageError: an unknown name, or a setting that the objective "soft" does not have.
    """
    if name != "soft" and name not in LAYER_WISE:
        raise UsageError(f"objective {name!r} is none of soft, {', '.join(LAYER_WISE)}", code="unknown_objective")
    given = {"temperature": temperature, "hard_weight": hard_weight, "layer_weight": layer_weight, "layers": layers}
    given = {key: value for key, value in given.items() if value is not None}
    if name == "soft":
        if "layer_weight" in given or "layers" in given:
            raise UsageError("the objective 'soft' compares no layers", code="usage", hint="leave layer_weight and layers out")
        return Distillation(readout_weights, **given)
    return LAYER_WISE[name](teacher, student, readout_weights, **given)
