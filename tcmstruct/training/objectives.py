"""What a step learns: each objective turns a model and a batch into a loss. The loop knows none of them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.model.tagger import CharTagger, TaggerOutput
from tcmstruct.training.data import IGNORE, Batch


class Objective(Protocol):
    """A loss over a batch. An objective may be an `nn.Module` with weights of its own (they are trained too)."""

    def loss(self, model: CharTagger, batch: Batch) -> Tensor: ...


class MaskedLM(nn.Module):
    """Masked language modelling with whole words masked (Devlin et al. 2019; Cui et al. 2021 for Chinese).

    Args:
        hidden: H of the encoder.
        n_characters: rows of the character table; the output layer is tied to it.
        character_width: width of the character table (None: H).
        mask_rate: share of characters whose words are masked. Higher than BERT's 0.15, because a short
            adaptation learns from each masked character (Wettig et al. 2023).
        mask_row: row that stands for a masked character.
    """

    def __init__(self, hidden: int, n_characters: int, mask_rate: float = 0.3, mask_row: int = 1,
                 character_width: int | None = None) -> None:
        super().__init__()
        width = character_width or hidden
        self.dense, self.norm = nn.Linear(hidden, width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(n_characters))
        self.mask_rate, self.mask_row = mask_rate, mask_row

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        """Uses `batch.soft["word"]` (B, T): number of the word each character belongs to."""
        words = batch.soft["word"]
        chosen = torch.rand(words.shape[0], int(words.max()) + 1, device=words.device) < self.mask_rate
        target = chosen.gather(1, words) & (batch.ids != 0)
        if not target.any():  # a batch of a few short texts: nothing was masked, so nothing is learnt from it
            return 0.0 * self.bias.sum()
        dice = torch.rand(words.shape, device=words.device)
        corrupted = torch.where(target & (dice < 0.8), self.mask_row, batch.ids)
        random_rows = torch.randint_like(batch.ids, 3, self.bias.numel())
        corrupted = torch.where(target & (dice >= 0.9), random_rows, corrupted)
        hidden = model.encode(corrupted, batch.lexicon)[target]
        scores = self.norm(F.gelu(self.dense(hidden))) @ model.embedding.character.weight.T + self.bias
        return F.cross_entropy(scores, batch.ids[target])


class Tagging:
    """Loss on the tags of the batch's own readout (the CRF's likelihood where the model has one for it, else
    cross-entropy), and cross-entropy on the status of mentions that carry one."""

    def __init__(self, status_weight: float = 0.5) -> None:
        self.status_weight = status_weight

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        output = model(batch.ids, batch.lexicon, only=batch.readout)
        weight = batch.weight.mean()  # one readout a batch, so one weight
        if batch.readout in model.crf:
            loss = model.crf[batch.readout].negative_log_likelihood(output.tags[batch.readout], batch.ids != 0, batch.tags)
        else:
            loss = F.cross_entropy(output.tags[batch.readout].flatten(0, 1), batch.tags.flatten(), ignore_index=IGNORE)
        if (batch.status != IGNORE).any():
            status = F.cross_entropy(output.status.flatten(0, 1), batch.status.flatten(), ignore_index=IGNORE)
            loss = loss + self.status_weight * status
        return weight * loss


class Distillation:
    """Soft targets of a teacher on all readouts (Hinton et al. 2015), besides the hard labels where there are any.

        L = s · T² · Σ_r w_r · KL(p_T ‖ p_S) + h · CE(labels)

    The soft cross-entropy is written as KL: the same gradient, and 0 where student and teacher agree.

    Args:
        readout_weights: weight w_r of each readout's soft loss.
        temperature: T, softens both distributions; the loss is scaled by its square.
        hard_weight: weight h of the labels on labelled examples.
        soft_weight: weight s of the soft loss.

    Uses `batch.soft["tags:NAME"]` (B, T, tags), `batch.soft["status"]` (B, T, statuses): the teacher's scores.
    """

    def __init__(self, readout_weights: dict[str, float], temperature: float = 2.0, hard_weight: float = 0.5,
                 soft_weight: float = 1.0) -> None:
        self.readout_weights, self.temperature = readout_weights, temperature
        self.hard_weight, self.soft_weight = hard_weight, soft_weight

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        return self.of(model(batch.ids, batch.lexicon), batch)

    def of(self, output: TaggerOutput, batch: Batch) -> Tensor:
        """The loss of scores at hand, for objectives that read the student's layers in the same pass."""
        real = batch.ids != 0
        total = torch.zeros((), device=batch.ids.device)
        for name, weight in self.readout_weights.items():
            if f"tags:{name}" in batch.soft:
                total = total + weight * self._divergence(output.tags[name][real], batch.soft[f"tags:{name}"][real])
        # status matters where there is a mention: weigh by the teacher's belief in one
        teacher = batch.soft["tags:gold"][real].float()
        mention = teacher[:, 1:3].logsumexp(1).sub(teacher.logsumexp(1)).exp()
        total = total + self._divergence(output.status[real], batch.soft["status"][real], mention)
        total = self.soft_weight * total
        if batch.tags is not None and self.hard_weight:
            hard = F.cross_entropy(output.tags[batch.readout].flatten(0, 1), batch.tags.flatten(), ignore_index=IGNORE)
            if (batch.status != IGNORE).any():
                hard = hard + 0.5 * F.cross_entropy(output.status.flatten(0, 1), batch.status.flatten(), ignore_index=IGNORE)
            total = total + self.hard_weight * batch.weight.mean() * hard
        return total

    def _divergence(self, student: Tensor, teacher: Tensor, weight: Tensor | None = None) -> Tensor:
        t = self.temperature
        per_char = F.kl_div((student / t).log_softmax(-1), (teacher.float() / t).log_softmax(-1), reduction="none",
                            log_target=True).sum(-1) * t * t
        if weight is None:
            return per_char.mean()
        return (per_char * weight).sum() / weight.sum().clamp_min(1.0)
