"""Record-level heads over the encoder's clause vectors: labels of a record, and whether a candidate follows from it.

A record's score is a sum over its clauses, so that what every clause gave to a suggestion is known exactly:

    z_l = Σ_n [ (W_m h_n)_l / N + a_nl (W_a h_n)_l ] + s Σ_w x_w T_wl + m · (P q)_l + b_l        a_·l = softmax_n(V h_n)_l

Mean pooling and attention pooling of the clause vectors h, side by side (label-wise attention is CAML's, Mullenbach et al. 2018; a
single query its plain form); the record's words x, weighted by their rarity and of length 1 (`runtime.record_words`), with a table T
fitted in closed form (`training.word_table`); a photo's numbers q, with m = 0 without a photo. Axes: B batch, N clauses, H hidden,
L labels, F buckets of words, Q numbers of a photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_LOG_WEIGHT = 6.0
"""Bound of a clause's log-weight in the attention, so that no clause of any record overflows it."""


@dataclass(frozen=True)
class SuggestionConfig:
    """Shape of a head.

    Attributes:
        hidden: H.
        n_labels: L.
        n_photo: Q, numbers that a photo gives; 0 for a head that takes none.
        n_buckets: F.
        states, words: whether the head reads the clause vectors, and the words (both, but for comparisons).
        label_queries: an attention query for each label; else one for all.
        dropout: share of hidden dimensions hidden from a record in training.
        clause_dropout: share of clauses hidden in training.
    """

    hidden: int
    n_labels: int
    n_photo: int = 0
    n_buckets: int = 4096
    states: bool = True
    words: bool = True
    label_queries: bool = False
    dropout: float = 0.3
    clause_dropout: float = 0.2


class SuggestionNet(nn.Module):
    """Clause vectors and maybe a photo → scores of labels."""

    def __init__(self, config: SuggestionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.hidden))
        self.register_buffer("spread", torch.ones(config.hidden))
        self.register_buffer("rarity", torch.ones(config.n_buckets))
        self.register_buffer("table", torch.zeros(config.n_buckets, config.n_labels))
        self.scale = nn.Parameter(torch.tensor(6.0))  # a ridge regression answers around 0 … 1, a sigmoid asks for −5 … 5
        self.query = nn.Linear(config.hidden, config.n_labels if config.label_queries else 1)
        self.of_mean = nn.Linear(config.hidden, config.n_labels)
        self.of_attention = nn.Linear(config.hidden, config.n_labels, bias=False)
        self.of_photo = nn.Linear(config.n_photo, config.n_labels, bias=False) if config.n_photo else None
        nn.init.normal_(self.query.weight, std=0.02)
        for part in (self.of_mean, self.of_attention):  # at step 0 the head says what the words say
            nn.init.zeros_(part.weight)
        nn.init.zeros_(self.of_mean.bias)
        if self.of_photo is not None:
            nn.init.zeros_(self.of_photo.weight)

    def prepare(self, vectors: Tensor, rarity: Tensor, table: Tensor, prior: Tensor) -> None:
        """Takes mean and spread from training clauses (n, H), what the words say (`training.word_table`): (F,), (F, L), and the
        log-odds (L,) from which it starts: else its first steps would teach every weight that labels are rare."""
        self.mean.copy_(vectors.mean(0))
        self.spread.copy_(vectors.std(0).clamp_min(1e-3))
        self.rarity.copy_(rarity)
        self.table.copy_(table)
        with torch.no_grad():
            self.of_mean.bias.copy_(prior)

    def worth(self, buckets: Tensor, shares: Tensor) -> Tensor:
        """buckets, shares (M,) of one record → (M,) what each piece weighs: rarity, scaled so that the record's have length 1."""
        rarity = self.rarity[buckets]
        return rarity * shares / (rarity.square() * shares).sum().clamp_min(1e-6).sqrt()

    def of_words(self, words: list[Tensor]) -> Tensor:
        """Buckets (M_b,) of each record, each once → (B, L), before `scale`."""
        worth = torch.cat([self.worth(w, torch.ones(len(w))) for w in words])
        offsets = torch.tensor([0, *(len(w) for w in words[:-1])]).cumsum(0)
        return F.embedding_bag(torch.cat(words), self.table, offsets, mode="sum", per_sample_weights=worth)

    def shares(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (B, N, H), mask (B, N) True on clauses → (B, N, L): what each clause gives to each label."""
        h = (hidden - self.mean) / self.spread
        if self.training:
            h = F.dropout(torch.ones_like(h[:, :1]), self.config.dropout) * h
            drawn = torch.rand(mask.shape, device=mask.device) >= self.config.clause_dropout
            mask = torch.where((mask & drawn).any(1, keepdim=True), mask & drawn, mask)
        weight = MOST_LOG_WEIGHT * torch.tanh(self.query(h) / MOST_LOG_WEIGHT)
        share = weight.masked_fill(~mask[..., None], -1e4).softmax(1)
        plain = mask[..., None].to(h.dtype)
        plain = plain / plain.sum(1, keepdim=True).clamp_min(1.0)
        return share * self.of_attention(h) + plain * F.linear(h, self.of_mean.weight)

    def forward(self, hidden: Tensor, mask: Tensor, said: Tensor | None = None, photo: Tensor | None = None,
                present: Tensor | None = None) -> Tensor:
        """said (B, L) by the words (`of_words`; in training by a table that did not see the record), photo (B, Q), present (B,) 0 or
        1 → scores (B, L) before the sigmoid."""
        scores = self.of_mean.bias.expand(len(hidden), -1)
        if self.config.states:
            scores = scores + self.shares(hidden, mask).sum(1)
        if self.config.words and said is not None:
            scores = scores + self.scale * said
        if self.of_photo is not None and photo is not None and present is not None:
            scores = scores + present[:, None] * self.of_photo(photo)
        return scores


class SuggestionGraph(nn.Module):
    """What the ONNX graph computes for one record: clauses (N, H), its words' buckets and shares (M,), photo (Q,), present (1,) →
    scores (ΣL,), what each clause's vector gave (N, ΣL), what each word gave (M, ΣL).

    Args:
        nets: the heads of all tasks, in the card's order.
    """

    def __init__(self, nets: list[SuggestionNet]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, clauses: Tensor, buckets: Tensor, shares: Tensor, photo: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.ones_like(clauses[None, :, 0], dtype=torch.bool)
        of_clauses = [net.shares(clauses[None], mask)[0] for net in self.nets]
        of_words = [net.scale * net.table[buckets] * net.worth(buckets, shares)[:, None] for net in self.nets]
        scores = []
        for net, by_clause, by_word in zip(self.nets, of_clauses, of_words, strict=True):
            own = by_clause.sum(0) + by_word.sum(0) + net.of_mean.bias
            scores.append(own if net.of_photo is None else own + present * net.of_photo(photo[None])[0])
        return torch.cat(scores), torch.cat(of_clauses, 1), torch.cat(of_words, 1)


@dataclass(frozen=True)
class FollowsConfig:
    """Shape of a head for pairs: `width` is the inner one."""

    hidden: int
    width: int = 64
    dropout: float = 0.3


class FollowsNet(nn.Module):
    """Clause vectors of a premise and of a candidate → whether it follows.

    The candidate asks the premise's clauses; what it was answered and what it is itself are compared as sentence pairs are
    (Conneau et al. 2017): [a; c; |a − c|; a ∘ c; mean of the premise].
    """

    def __init__(self, config: FollowsConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.hidden))
        self.register_buffer("spread", torch.ones(config.hidden))
        self.project = nn.Linear(config.hidden, config.width)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.inner = nn.Linear(5 * config.width, config.width)
        self.out = nn.Linear(config.width, 1)
        self.dropout = nn.Dropout(config.dropout)

    def standardise(self, vectors: Tensor) -> None:
        """Takes mean and spread from training clauses (n, H)."""
        self.mean.copy_(vectors.mean(0))
        self.spread.copy_(vectors.std(0).clamp_min(1e-3))

    def forward(self, hidden: Tensor, mask: Tensor, of_candidate: Tensor) -> Tensor:
        """hidden (B, N, H), mask (B, N), of_candidate (B, N) True on the candidate's clauses → (B,) before the sigmoid."""
        h = self.dropout((hidden - self.mean) / self.spread)
        x = torch.tanh(self.project(h))
        candidate, premise = _mean(x, mask & of_candidate), mask & ~of_candidate
        weight = (self.key(x) * candidate[:, None]).sum(-1) / self.config.width**0.5
        share = weight.masked_fill(~premise, -1e4).softmax(1)
        answer = (share[..., None] * x).sum(1)
        features = torch.cat([answer, candidate, (answer - candidate).abs(), answer * candidate, _mean(x, premise)], -1)
        return self.out(self.dropout(F.gelu(self.inner(features)))).squeeze(-1)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    there = mask[..., None].to(x.dtype)
    return (x * there).sum(1) / there.sum(1).clamp_min(1.0)
