"""Linear-chain CRF (Lafferty et al. 2001) over BIO tags. Axes: B batch, T characters, K tags (O, B-0, I-0, B-1, I-1 …)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

ILLEGAL = -1e4
"""Score of a transition that BIO does not allow."""


class Crf(nn.Module):
    """Scores of neighbouring tags; illegal sequences score `ILLEGAL`."""

    def __init__(self, n_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(n_tags, n_tags))  # from, to
        self.first, self.last = nn.Parameter(torch.zeros(n_tags)), nn.Parameter(torch.zeros(n_tags))
        inside = torch.arange(2, n_tags, 2)
        block = torch.zeros(n_tags, n_tags)
        block[:, inside] = ILLEGAL
        block[inside, inside] = 0.0
        block[inside - 1, inside] = 0.0
        self.register_buffer("block", block, persistent=False)
        self.register_buffer("block_first", torch.zeros(n_tags).index_fill(0, inside, ILLEGAL), persistent=False)

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """first (K,), moves (K, K) from × to, last (K,), the illegal ones included: what decoding without torch needs."""
        with torch.no_grad():
            return ((self.first + self.block_first).numpy(), (self.transitions + self.block).numpy(), self.last.numpy())

    def log_partition(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Log of the sum over all sequences (forward algorithm): scores (B, T, K), mask (B, T) → (B,)."""
        moves = self.transitions + self.block
        total = self.first + self.block_first + scores[:, 0]
        for t in range(1, scores.shape[1]):
            after = torch.logsumexp(total.unsqueeze(2) + moves, dim=1) + scores[:, t]
            total = torch.where(mask[:, t, None], after, total)
        return torch.logsumexp(total + self.last, dim=1)

    def score(self, scores: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """Score of one sequence: tags (B, T), anything on padding → (B,)."""
        tags = tags.masked_fill(~mask, 0)
        moves = (self.transitions + self.block)[tags[:, :-1], tags[:, 1:]] * mask[:, 1:]
        own = scores.gather(2, tags.unsqueeze(2)).squeeze(2) * mask
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        return own.sum(1) + moves.sum(1) + (self.first + self.block_first)[tags[:, 0]] + self.last[last]

    def negative_log_likelihood(self, scores: Tensor, mask: Tensor, tags: Tensor) -> Tensor:
        """Mean over characters of −log p(tags)."""
        return (self.log_partition(scores, mask) - self.score(scores, mask, tags)).sum() / mask.sum()

    def partial_negative_log_likelihood(self, scores: Tensor, mask: Tensor, allowed: Tensor) -> Tensor:
        """Mean over characters of −log p(any sequence that `allowed` admits): labels that say of some characters only what they may be
        (Tsuboi et al. 2008). scores (B, T, K), mask (B, T), allowed (B, T, K) bool, anything on padding."""
        admitted = scores.masked_fill(~allowed & mask.unsqueeze(2), ILLEGAL)
        every, told = self.log_partition(torch.cat([scores, admitted]), torch.cat([mask, mask])).chunk(2)  # one walk over T for both
        return (every - told).sum() / mask.sum()

    def best(self, scores: Tensor, mask: Tensor) -> Tensor:
        """The best sequence (Viterbi): (B, T) tags, 0 on padding."""
        moves = self.transitions + self.block
        stay = torch.arange(scores.shape[2]).expand(len(scores), -1)
        total = self.first + self.block_first + scores[:, 0]
        back = []
        for t in range(1, scores.shape[1]):
            after, came = (total.unsqueeze(2) + moves).max(1)
            here = mask[:, t, None]
            back.append(torch.where(here, came, stay))
            total = torch.where(here, after + scores[:, t], total)
        tags = [(total + self.last).argmax(1)]
        for came in reversed(back):
            tags.append(came.gather(1, tags[-1].unsqueeze(1)).squeeze(1))
        return torch.stack(tags[::-1], 1).masked_fill(~mask, 0)

    def marginals(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Probability of each tag at each place, the gradient of the log partition: (B, T, K)."""
        with torch.enable_grad():
            scores = scores.detach().requires_grad_()
            return torch.autograd.grad(self.log_partition(scores, mask).sum(), scores)[0]
