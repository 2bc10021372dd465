"""What a tagger answered before it was adapted, on records that the labels say nothing of: an adapter that keeps to these answers learns
its department without unlearning the others (learning without forgetting, Li and Hoiem 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import Batch, Example, collate, unlabelled
from tcmstruct.training.objectives import Distillation, Tagging

SIDE_WEIGHT = 0.3
"""Of the readouts that the labels do not train; they see an adapter through the encoder alone."""


class TaggingBeside:
    """`Tagging` on labelled batches; on the others the divergence from what the base answered.

    Args:
        readout: which one the labels train.
        weight: of the divergence.
    """

    def __init__(self, readouts: Sequence[str], readout: str, weight: float = 1.0) -> None:
        self._learn, self._weight = Tagging(), weight
        self._keep = Distillation({name: 1.0 if name == readout else SIDE_WEIGHT for name in readouts}, temperature=1.0)

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        return self._weight * self._keep.loss(model, batch) if batch.soft else self._learn.loss(model, batch)


def answered(model: CharTagger, table: CharacterTable, lexicon: Lexicon | None, texts: Sequence[str], max_chars: int) -> list[Example]:
    """Windows of texts with the scores of all readouts and of the status, as `Distillation` reads them."""
    examples = unlabelled(texts, table, max_chars)
    model.eval()
    for example in examples:
        batch = collate([example], lexicon)
        with torch.inference_mode():
            output = model(batch.ids, batch.lexicon)
        scores = {f"tags:{name}": tags for name, tags in output.tags.items()} | {"status": output.status}
        example.soft = {name: values[0].half().numpy() for name, values in scores.items()}
    return examples
