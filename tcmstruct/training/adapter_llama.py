"""A LLaMA-style decoder from a local folder as a base of adapters (Clinical LLaMA-LoRA, Gema et al. 2023).

Step one: causal LM. Step two: a class for a whole record, read at its last token (`LlamaForSequenceClassification`). Nothing is fetched and
no code of the folder is run.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, LlamaForCausalLM, LlamaForSequenceClassification
from transformers.utils import logging

from tcmstruct.errors import InputRefused, ModelError, UsageError
from tcmstruct.runtime.adapter_folder import Step, refuse_pickles
from tcmstruct.runtime.model_folder import sha256_of
from tcmstruct.training.adapters import Labels, Task, batch_chars

READOUT = "class"
PARTS: dict[str, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "feed-forward": ("gate_proj", "up_proj", "down_proj"),
}
"""Part of a decoder layer → last names of its linear layers."""
_IGNORE = -100


@dataclass
class TokenBatch:
    """Padded on the right: ids, mask (B, T); classes (B,) or None."""

    ids: Tensor
    mask: Tensor
    classes: Tensor | None

    @property
    def n_characters(self) -> int:
        return int(self.mask.sum())

    def to(self, device: str) -> TokenBatch:
        return TokenBatch(self.ids.to(device), self.mask.to(device), None if self.classes is None else self.classes.to(device))


class CausalLM:
    """Cross-entropy of the next token; the output layer belongs to the base and stays as it is."""

    def __init__(self, output: Tensor) -> None:
        self._output = output

    def loss(self, model: nn.Module, batch: TokenBatch) -> Tensor:
        hidden = model.model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        target = batch.ids.masked_fill(batch.mask == 0, _IGNORE)[:, 1:]
        scores = hidden[:, :-1] @ self._output.to(hidden.device).T
        return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=_IGNORE)


class Classify:
    """Cross-entropy of the record's class."""

    def loss(self, model: nn.Module, batch: TokenBatch) -> Tensor:
        return F.cross_entropy(model(input_ids=batch.ids, attention_mask=batch.mask).logits, batch.classes)


class LlamaBase:
    """See `training.adapters.Base`. Rows of step two are `text` and `label`.

    Args:
        folder: config.json, model*.safetensors, a tokeniser.
        parts: keys of `PARTS` that adapters go on.
        max_tokens: of a record; the classifier reads the first ones of a longer one.

    Raises:
        ModelError: no such model, or a folder with pickled weights.
    """

    kind = "llama"
    own: tuple[str, ...] = ("score",)

    def __init__(self, folder: Path, *, parts: Sequence[str] = tuple(PARTS), max_tokens: int = 512, tokens_per_batch: int = 4096) -> None:
        refuse_pickles(folder)
        weights = sorted(folder.glob("*.safetensors"))
        if not weights or not (folder / "config.json").is_file():
            raise ModelError("holds no config.json with *.safetensors", where=folder.name, code="model_missing",
                             hint="give the local folder of a LLaMA-style model in safetensors")
        self.fingerprint = _fingerprint([*weights, folder / "config.json", *sorted(folder.glob("tokenizer*"))])
        logging.disable_progress_bar()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            lm, loaded = LlamaForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32,
                                                          output_loading_info=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"transformers cannot read it as a LLaMA model ({type(error).__name__})", where=folder.name,
                             code="model_unreadable") from None
        if any(name.startswith("model.") for name in loaded["missing_keys"]):
            raise ModelError(f"{len(loaded['missing_keys'])} of its weights are missing", where=folder.name, code="model_missing")
        no_output = "lm_head.weight" in loaded["missing_keys"]
        self._output = (lm.model.embed_tokens if no_output else lm.lm_head).weight.detach()
        pad = lm.config.pad_token_id if lm.config.pad_token_id is not None else self.tokenizer.pad_token_id
        lm.config.pad_token_id = lm.config.eos_token_id if pad is None else pad
        if not isinstance(lm.config.pad_token_id, int):
            lm.config.pad_token_id = 0
        self.network = LlamaForSequenceClassification(lm.config)
        self.network.model = lm.model
        self.network.config.use_cache = False
        self._last = {name for part in parts for name in PARTS[part]}
        self._max_tokens, self._tokens_per_batch = max_tokens, tokens_per_batch

    def targets(self, step: Step) -> list[str]:
        return [name for name, module in self.network.named_modules() if name.startswith("model.layers.")
                and name.rpartition(".")[2] in self._last and hasattr(module, "weight")]

    def domain(self, texts: Sequence[str], seed: int) -> Task:
        tokens = [ids for text in texts for ids in self._pieces(text)]
        return self._task(CausalLM(self._output), [(ids, None) for ids in tokens], len(texts), seed)

    def beside(self, texts: Sequence[str]) -> None:
        raise UsageError("a decoder has no classes before it is adapted, so none to keep", where="--beside", code="option_invalid")

    def labels(self, rows: Sequence[Mapping[str, Any]]) -> Labels:
        counts = Counter(row["label"] for row in rows)
        if len(counts) < 2:
            raise InputRefused(f"the records are of {len(counts)} class" + ("es" if not counts else ""), where=f"{len(rows)} records",
                               code="one_class", hint="at least two classes are needed to tell them apart")
        return {READOUT: tuple(sorted(counts))}

    def take_labels(self, labels: Labels) -> None:
        if labels.keys() != {READOUT}:
            raise ModelError("the label set is not one of classes", where="adapter", code="adapter_other_labels")
        n = len(labels[READOUT])
        if self.network.score.out_features != n or self.network.num_labels != n:
            self.network.score = nn.Linear(self.network.config.hidden_size, n, bias=False)
            nn.init.normal_(self.network.score.weight, std=self.network.config.initializer_range)
        self.network.num_labels = self.network.config.num_labels = n
        self.network.config.id2label = dict(enumerate(labels[READOUT]))
        self.network.config.label2id = {label: i for i, label in enumerate(labels[READOUT])}

    def downstream(self, rows: Sequence[Mapping[str, Any]], labels: Labels, seed: int) -> Task:
        numbers = {label: i for i, label in enumerate(labels[READOUT])}
        return self._task(Classify(), [(self._pieces(row["text"])[0], numbers[row["label"]]) for row in rows], len(rows), seed)

    def save(self, out: Path) -> None:
        self.network.save_pretrained(out, safe_serialization=True)
        self.tokenizer.save_pretrained(out)

    def scores(self, texts: Sequence[str]) -> Tensor:
        """(texts, classes) before the softmax."""
        self.network.eval()
        with torch.inference_mode():
            device = next(self.network.parameters()).device
            found = []
            for text in texts:
                batch = self._collate([(self._pieces(text)[0], None)]).to(device)
                found.append(self.network(input_ids=batch.ids, attention_mask=batch.mask).logits[0].cpu())
        return torch.stack(found)

    def _pieces(self, text: str) -> list[list[int]]:
        """Token numbers of a text in pieces of `max_tokens`; a single one is never cut off alone."""
        ids = self.tokenizer(text)["input_ids"] or [self.network.config.bos_token_id or 0]
        return [ids[at : at + self._max_tokens] for at in range(0, len(ids), self._max_tokens)]

    def _task(self, objective: Any, examples: list[tuple[list[int], int | None]], n_records: int, seed: int) -> Task:
        rng, n_tokens = random.Random(seed), sum(len(ids) for ids, _ in examples)
        size = batch_chars(n_tokens, self._tokens_per_batch)

        def one_pass() -> Iterator[TokenBatch]:
            order = sorted(examples, key=lambda e: len(e[0]) * rng.uniform(0.9, 1.1))
            plans: list[list[tuple[list[int], int | None]]] = [[]]
            for example in order:
                if plans[-1] and len(example[0]) * (len(plans[-1]) + 1) > size:
                    plans.append([])
                plans[-1].append(example)
            rng.shuffle(plans)
            yield from (self._collate(plan) for plan in plans)

        return Task(objective, one_pass, rng, n_records, n_tokens)

    def _collate(self, plan: Sequence[tuple[list[int], int | None]]) -> TokenBatch:
        length = max(len(ids) for ids, _ in plan)
        ids = torch.full((len(plan), length), self.network.config.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, (own, _) in enumerate(plan):
            ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
        classes = None if plan[0][1] is None else torch.tensor([number for _, number in plan])
        return TokenBatch(ids, mask, classes)


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256(" ".join(f"{file.name} {sha256_of(file)}" for file in files).encode()).hexdigest()
