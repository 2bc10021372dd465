"""Learning from a hospital's own labels without forgetting what they do not speak of.

A file of labels may hold some types only: what it does not label is unknown, not absent. So a character outside of every labelled
mention may be O or part of any type that the file does not label; all sequences of tags that agree with this are right alike (partial
likelihood, Tsuboi et al. 2008). What the labels leave open is held where the start model saw it (self-distillation, Li and Hoiem 2016):
the other types, the other readouts, and, on records without labels, everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from tcmstruct.labels import READOUTS
from tcmstruct.model.crf import ILLEGAL
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.data import IGNORE, Batch, Example, labelled

CLINICAL = "gold"
"""The readout whose labels the annotation guide describes; a hospital's labels train this one."""
ALLOWED = "allowed"
"""Key of `Example.soft`: (T, K) 1 where a tag agrees with the labels."""


def allowed_tags(tags: np.ndarray, labels: Sequence[str], types: Collection[str]) -> np.ndarray:
    """(T,) tags of a text whose mentions of `types` alone are labelled → (T, K) uint8: 1 where a tag agrees with that."""
    out = np.zeros((len(tags), 1 + 2 * len(labels)), np.uint8)
    out[np.arange(len(tags)), tags] = 1
    for number, label in enumerate(labels):
        if label not in types:
            out[tags == 0, 1 + 2 * number : 3 + 2 * number] = 1
    return out


def own_examples(records: Iterable[dict[str, Any]], types: Collection[str], table: CharacterTable, max_chars: int) -> list[Example]:
    """Windows of labelled records; only mentions of `types` count.

    Args:
        records: `text`, and `entities` with `type`, `start`, `end` and maybe `status`.
        types: what the records label, of the clinical readout's labels.
    """
    labels = list(READOUTS[CLINICAL])
    kept = [{**record, "entities": [e for e in record["entities"] if e["type"] in types]} for record in records]
    examples = labelled(kept, CLINICAL, table, max_chars)
    for example in examples:
        example.soft[ALLOWED] = allowed_tags(example.tags, labels, types)
    return examples


class OwnLabels:
    """Partial likelihood of the labels, cross-entropy of statuses, and nearness to the start model on all that is left open.

    Args:
        keep_weight: weight of the nearness.
        status_weight: of the statuses' cross-entropy.

    Uses `batch.soft["tags:NAME"]` (B, T, tags) and `batch.soft["status"]` (B, T, statuses), the start model's scores, of every readout;
    and `batch.soft[ALLOWED]` (B, T, tags) on labelled records.
    """

    def __init__(self, keep_weight: float = 1.0, status_weight: float = 0.5) -> None:
        self.keep_weight, self.status_weight = keep_weight, status_weight

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output, real = model(batch.ids, batch.lexicon), batch.ids != 0
        scores, before = output.tags[CLINICAL], batch.soft[f"tags:{CLINICAL}"].float()
        others = [_divergence(output.tags[name], batch.soft[f"tags:{name}"].float(), real) for name in output.tags if name != CLINICAL]
        kept = sum(others) / max(1, len(others)) if others else scores.new_zeros(())
        if ALLOWED not in batch.soft:
            mention = 1 - before.softmax(-1)[..., 0]  # a status matters where there is a mention
            return self.keep_weight * (kept + _divergence(scores, before, real)
                                       + self.status_weight * _divergence(output.status, batch.soft["status"].float(), real, mention))
        allowed = batch.soft[ALLOWED].bool()
        if CLINICAL in model.crf:
            told = model.crf[CLINICAL].partial_negative_log_likelihood(scores, real, allowed)
        else:
            told = (scores.logsumexp(-1) - scores.masked_fill(~allowed, ILLEGAL).logsumexp(-1))[real].mean()
        if (batch.status != IGNORE).any():
            told = told + self.status_weight * F.cross_entropy(output.status.flatten(0, 1), batch.status.flatten(), ignore_index=IGNORE)
        left_open = real & (allowed.sum(-1) > 1)
        if left_open.any():
            kept = kept + _divergence(scores.masked_fill(~allowed, ILLEGAL), before.masked_fill(~allowed, ILLEGAL), left_open)
        return told + self.keep_weight * kept


def _divergence(new: Tensor, before: Tensor, where: Tensor, weight: Tensor | None = None) -> Tensor:
    """KL(before ‖ new) of scores (B, T, K), mean over the characters `where` (B, T), or by `weight` (B, T)."""
    each = F.kl_div(new[where].log_softmax(-1), before[where].log_softmax(-1), reduction="none", log_target=True).sum(-1)
    return each.mean() if weight is None else (each * weight[where]).sum() / weight[where].sum().clamp_min(1.0)
