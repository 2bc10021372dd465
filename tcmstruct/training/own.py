"""The run behind a hospital's own model: from the current weights, watched pass by pass, to the mean of the best pass and the start."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.averaging import averaged
from tcmstruct.training.data import Example, batches
from tcmstruct.training.loop import ByPass, LoopConfig, Progress, fit
from tcmstruct.training.objectives import Objective

SCORE = "score"
"""Name of the figure that early stopping looks at; more is better."""


@dataclass(frozen=True)
class OwnConfig:
    """How a run learns; the defaults are those that measured best on 50 records (docs/training.md).

    Attributes:
        passes: most passes.
        patience: passes without a better score after which the run ends.
        rate: peak learning rate of the encoder; readouts learn twice as fast, a CRF's tables twenty times.
        objective_rate: peak learning rate of an objective's own weights, which begin at random.
        pass_chars: characters of a pass; few examples are visited several times.
        chars_per_batch, max_chars: size of a batch and of a window, in characters.
        dropout: in training.
        frozen_layers: lowest layers that do not learn, the tables of characters with them; -1 trains all.
        shares: of the best pass's weights in the mean with the start's (Wortsman et al. 2022b); the best on the tuning records is taken.
        seed: of everything random.
    """

    passes: int = 10
    patience: int = 3
    rate: float = 1e-3
    objective_rate: float = 2e-3
    pass_chars: int = 15_000
    chars_per_batch: int = 2_000
    max_chars: int = 256
    dropout: float = 0.1
    frozen_layers: int = -1
    shares: tuple[float, ...] = (1.0, 0.75, 0.5)
    seed: int = 0


@dataclass(frozen=True)
class Learnt:
    """What came out.

    Attributes:
        model: the mean of the best pass and the start; None where neither any pass nor any mean beat the start.
        start_score: of the start model.
        share: of the best pass in the mean.
        scores: share → score of the mean.
    """

    model: CharTagger | None
    start_score: float
    share: float
    scores: dict[float, float]
    progress: Progress


def one_pass(labelled: Sequence[Example], beside: Sequence[Example], config: OwnConfig, rng: random.Random) -> list[Example]:
    """The examples of a pass: labelled ones as often as `pass_chars` allow, and as many characters of those beside them."""
    chosen: list[Example] = []
    room = config.pass_chars
    for group in (labelled, beside):
        held = 0
        while group and held < room:
            order = rng.sample(group, len(group))
            for example in order:
                chosen.append(example)
                held += len(example)
                if held >= room and group is beside:
                    break
    return chosen


def learn(start: CharTagger, table: CharacterTable, lexicon: Lexicon | None, objective: Objective, labelled: Sequence[Example],
          beside: Sequence[Example], score: Callable[[CharTagger], dict[str, float]], folder: Path, best: Path, config: OwnConfig,
          say: Callable[[str], None], told: Callable[[Progress, int], None]) -> Learnt:
    """Trains a copy of `start`; resumes where `folder/checkpoint` stands, to the same end.

    Args:
        start: stays as it is.
        objective: may have weights of its own.
        labelled: examples that are learnt; `beside`: those that hold what is known.
        score: figures of a model on the tuning records, with `SCORE` among them.
        best: where the best pass's weights go.
        told: called after every step with the characters of the whole run, for a display of progress.
    """
    first = score(start)[SCORE]
    model = copy.deepcopy(start)
    _drop(model, config.dropout)
    freeze(model, config.frozen_layers)
    rng = random.Random()

    def watch(passes: Sequence[dict[str, float]]) -> dict[str, float]:
        figures = score(model)
        if figures[SCORE] > max([first, *(p[SCORE] for p in passes)]):
            shutil.rmtree(best, ignore_errors=True)
            save_tagger(model, table, best)
        return figures

    def enough(passes: Sequence[dict[str, float]]) -> bool:
        values = [first, *(p[SCORE] for p in passes)]
        return len(passes) >= config.passes or len(passes) - values.index(max(values)) >= config.patience

    size = sum(map(len, one_pass(labelled, beside, config, random.Random(0))))
    loop = LoopConfig(config.passes * size, learning_rate=2 * config.rate, encoder_learning_rate=config.rate,
                      objective_rate=config.objective_rate, warmup=0.1, log_every_s=1e9, seed=config.seed)
    progress = fit(model, objective, lambda: batches(one_pass(labelled, beside, config, rng), config.chars_per_batch, rng, lexicon),
                   loop, folder, say=say, by_pass=ByPass(rng, watch, enough),
                   told=lambda progress: told(progress, loop.n_characters))
    if max((p[SCORE] for p in progress.passes), default=first) <= first:
        return Learnt(None, first, 0.0, {}, progress)
    peak = load_tagger(best, dropout=0.0).eval()
    means = {share: averaged([start, peak], [1 - share, share]).eval() for share in config.shares}
    scores = {share: score(mean)[SCORE] for share, mean in means.items()}
    share = max(scores, key=lambda s: (scores[s], -s))  # of equals the one nearer to the start
    return Learnt(means[share], first, share, scores, progress)


def freeze(model: CharTagger, layers: int) -> None:
    """The tables of characters and the lowest `layers` layers do not learn; -1 leaves all to learn."""
    for name, parameter in model.named_parameters():
        deep = name.startswith("encoder.layers.") and int(name.split(".")[2]) >= layers
        lower = name.startswith(("embedding.", "encoder.embedding_norm")) or (name.startswith("encoder.layers.") and not deep)
        parameter.requires_grad_(layers < 0 or not lower)


def _drop(model: nn.Module, share: float) -> None:
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
