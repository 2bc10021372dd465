"""Continual pre-training of an encoder on unlabelled text: masked LM, whole words masked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jieba
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.pretrained import E5File
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import UNKNOWN, CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.training.data import Batch, Example, batches, unlabelled
from tcmstruct.training.loop import LoopConfig, Progress, fit
from tcmstruct.training.objectives import MaskedLM

HEAD = "masked_lm.safetensors"
"""Beside a checkpoint's weights: the head that guesses masked characters, so that a later run goes on with it, or asks it."""


def word_numbers(text: str, terms: Lexicon | None = None) -> np.ndarray:
    """(T,) number of the word each character belongs to: jieba's segmentation, and over it whole terms, the leftmost longest ones."""
    begins = np.zeros(len(text) + 1, bool)
    at = 0
    for word in jieba.cut(text, HMM=False):
        begins[at] = True
        at += len(word)
    if terms is not None:
        end = 0
        for first, last, _ in sorted(terms.matches(text), key=lambda match: (match[0], -match[1])):
            if first >= end:
                begins[first : last + 1] = False
                begins[[first, last]] = True
                end = last
    return np.cumsum(begins[: len(text)]) - 1


def grown(model: CharTagger, table: CharacterTable, texts: Iterable[str], least: int) -> tuple[CharTagger, CharacterTable]:
    """A tagger that also has rows for characters that stand `least` times in the texts and that its table does not hold.

    A new row begins as the one of unknown characters: the grown model reads every text as the model did, until it learns.
    """
    counts = Counter(c for text in texts for c in normalise(text) if not c.isspace())
    held = set(table.characters)
    new = sorted((c for c, n in counts.items() if n >= least and c not in held), key=lambda c: (-counts[c], c))
    if not new:
        return model, table
    larger = CharacterTable([*table.characters, *new])
    out = CharTagger(replace(model.config, n_characters=len(larger)))
    state = model.state_dict()
    rows = state["embedding.character.weight"]
    state["embedding.character.weight"] = torch.cat([rows, rows[UNKNOWN].expand(len(new), -1)])
    out.load_state_dict(state)
    return out, larger


def start_model(e5: Path, table: CharacterTable, n_layers: int, config: ModelConfig | None = None) -> CharTagger:
    """A tagger whose character rows and lowest layers are those of multilingual-e5-small."""
    source = E5File(e5)
    model = CharTagger(config or ModelConfig(encoder=source.config(n_layers), n_characters=len(table)))
    model.encoder.load_state_dict(source.encoder_state(n_layers), strict=False)
    rows = source.character_rows(table.characters)
    model.embedding.character.weight.data.copy_(rows)
    model.encoder.start.data.copy_(rows[2])
    return model


@dataclass(frozen=True)
class Replay:
    """Texts that a model has read before and is not to forget (experience replay, Rolnick et al. 2019).

    Attributes:
        texts: of the earlier domain.
        share: of the characters that are trained on.
    """

    texts: Sequence[str]
    share: float = 0.3


def pretrain(texts: Iterable[str], out: Path, *, characters: Path, start: Path | ModelConfig, n_layers: int = 6,
             n_characters: int = 1_500_000, max_chars: int = 255, chars_per_batch: int = 1024, learning_rate: float = 4e-4,
             mask_rate: float = 0.3, seed: int = 0, replay: Replay | None = None, grow: int = 0, terms: Lexicon | None = None,
             told: Callable[[Progress], None] = lambda progress: None, say: Callable[[str], None] = print) -> Progress:
    """Trains on `texts` and writes a checkpoint folder to `out`, its head for masked words (`HEAD`) beside it.

    Args:
        start: a checkpoint folder, the file `e5-small-q4.bin`, or the shape of a model that starts at random. A folder's own
            characters and its head, if it has one, are taken instead of `characters` and a fresh head.
        n_characters: characters to train on, those of the replay among them.
        max_chars: window length in characters.
        chars_per_batch: small, for the number of steps is what counts where text is short (docs/results.md).
        replay: what is read again beside the texts.
        grow: least number of times that a character outside the table stands in the texts to get a row; 0 grows nothing.
        terms: are masked as a whole, as words are.
    """
    texts = list(texts)
    table = CharacterTable.load(start / "characters.txt" if isinstance(start, Path) and start.is_dir() else characters)
    torch.manual_seed(seed)
    if isinstance(start, ModelConfig):
        model = CharTagger(start)
        # the output layer is tied to these rows: at PyTorch's scale of 1 the first scores would be far too sure
        torch.nn.init.normal_(model.embedding.character.weight, std=0.2)
    else:
        model = load_tagger(start) if start.is_dir() else start_model(start, table, n_layers)
    if grow:
        model, table = grown(model, table, texts, grow)
    own, again = (_worded(some, table, max_chars, terms) for some in (texts, replay.texts if replay else ()))
    rng = random.Random(seed)
    config = LoopConfig(n_characters=n_characters, learning_rate=max(1e-3, learning_rate), encoder_learning_rate=learning_rate, seed=seed)
    objective = _head(model, mask_rate, start / HEAD if isinstance(start, Path) else None)

    def one_pass() -> Iterable[Batch]:
        return batches([*own, *_share_of(again, own, replay.share, rng)] if replay else own, chars_per_batch, rng)

    progress = fit(model, objective, one_pass, config, out, told=told, say=say)
    save_tagger(model, table, out)
    save_file(objective.state_dict(), out / HEAD)
    return progress


def masked_loss(checkpoint: Path, texts: Iterable[str], max_chars: int = 255, mask_rate: float = 0.3, seed: int = 0) -> float:
    """Loss of masked characters (nats) of texts by a checkpoint that `pretrain` wrote; the same words are masked whatever the checkpoint,
    if its table is the same."""
    model, table = load_tagger(checkpoint, dropout=0.0).eval(), CharacterTable.load(checkpoint / "characters.txt")
    head = _head(model, mask_rate, checkpoint / HEAD).eval()
    losses, n = 0.0, 0
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        for number, batch in enumerate(batches(_worded(texts, table, max_chars, None), 4096, random.Random(0))):
            torch.manual_seed(1000 * seed + number)
            losses += head.loss(model, batch).item() * batch.n_characters
            n += batch.n_characters
    return losses / max(1, n)


def _worded(texts: Iterable[str], table: CharacterTable, max_chars: int, terms: Lexicon | None) -> list[Example]:
    jieba.setLogLevel(60)
    examples = unlabelled(texts, table, max_chars)
    for example in examples:
        example.soft["word"] = word_numbers(example.text, terms)
    return examples


def _share_of(again: Sequence[Example], own: Sequence[Example], share: float, rng: random.Random) -> list[Example]:
    """As many windows of `again`, drawn anew, as make them a share of both."""
    wanted = share / (1 - share) * sum(map(len, own))
    chosen: list[Example] = []
    while again and wanted > 0:
        for example in rng.sample(again, len(again)):
            chosen.append(example)
            wanted -= len(example)
            if wanted <= 0:
                break
    return chosen


def _head(model: CharTagger, mask_rate: float, stored: Path | None) -> MaskedLM:
    """A head for the model's characters; the stored one where there is one, with a bias of 0 for characters that came later."""
    config = model.config
    head = MaskedLM(config.encoder.hidden, config.n_characters, mask_rate, character_width=config.character_width)
    if stored is not None and stored.is_file():
        state = load_file(stored)
        state["bias"] = torch.cat([state["bias"], torch.zeros(config.n_characters - len(state["bias"]))])
        head.load_state_dict(state)
    return head
