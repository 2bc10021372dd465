"""The rows of Clinical LLaMA-LoRA (Gema et al. 2023), for this project's encoder and for a small LLaMA: head only, LoRA, domain adapter
frozen or trainable, each without and with a downstream adapter. See `benchmarks.adapters` for how to run it."""

from __future__ import annotations

import hashlib
import lzma
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.mention_counts import mention_counts
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.recipes.adapter_train import AdapterConfig, fit_step
from tcmstruct.runtime.adapter_folder import MANIFEST, open_adapter
from tcmstruct.runtime.model_folder import sha256_of
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.adapter_store import write_adapter
from tcmstruct.training.adapter_tagger import TaggerBase
from tcmstruct.training.adapters import Adapted, Base, LoraShape
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.pretraining import start_model
from tcmstruct.training.tagging import predict_entities

CHARACTERS = Path(__file__).resolve().parents[1] / "vocab" / "characters.txt"


@dataclass(frozen=True)
class Row:
    """Attributes: domain: there is a domain adapter; trainable: it learns in step two; downstream: there is a second adapter."""

    domain: bool = False
    trainable: bool = False
    downstream: bool = False


ROWS: dict[str, Row] = {
    "head only": Row(),
    "LoRA": Row(downstream=True),
    "frozen domain adapter": Row(domain=True),
    "frozen domain adapter + downstream adapter": Row(domain=True, downstream=True),
    "trainable domain adapter": Row(domain=True, trainable=True),
    "trainable domain adapter + downstream adapter": Row(domain=True, trainable=True, downstream=True),
}


@dataclass(frozen=True)
class Settings:
    """How much is trained; lengths are characters, all passes together.

    Attributes:
        pretrained: of general text, for the base.
        domain: of records without labels.
        passes: over the labelled rows. n_rows, n_judged: of the decoder's classes. gold_records: of the encoder; None takes all.
        hidden, n_layers, n_buckets: of the encoder. llama_hidden, llama_layers: of the decoder.
        rank, rate, domain_rate: of the adapters.
    """

    pretrained: int = 3_000_000
    domain: int = 1_000_000
    passes: int = 5
    n_rows: int = 800
    n_judged: int = 1000
    hidden: int = 160
    n_layers: int = 4
    n_buckets: int = 32768
    llama_hidden: int = 192
    llama_layers: int = 4
    llama_pretrained: int = 1_200_000
    max_chars: int = 192
    rank: int = 4
    rate: float = 2e-3
    domain_rate: float = 1e-3
    gold_records: int | None = 400

    @property
    def digest(self) -> str:
        """Tells what was made with these settings from what was made with others."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


FULL = Settings()
QUICK = Settings(pretrained=150_000, domain=30_000, passes=3, n_rows=300, n_judged=300, hidden=64, n_layers=2, n_buckets=4096,
                 llama_hidden=48, llama_layers=2, llama_pretrained=80_000, max_chars=128, gold_records=150, rank=3, rate=4e-3)


def general_text(data: Path, n_characters: int) -> list[str]:
    """Paragraphs of textbooks and classics, no hospital's records, that together hold about `n_characters`."""
    texts: list[str] = []
    for name in ("textbooks", "tcm_classics"):
        with lzma.open(data / "corpus" / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
            share, held = n_characters // 2, 0
            for line in file:
                texts.append(line.strip())
                held += len(line)
                if held > share:
                    break
    random.Random(0).shuffle(texts)
    return texts


def records_text(data: Path, n_characters: int) -> list[str]:
    """Training records without their labels: gold's, then case books; none that dev begins like."""
    dev = {row["text"][:40] for row in read_jsonl(data / "gold" / "dev.jsonl")}
    texts = [row["text"] for row in read_jsonl(data / "gold" / "train.jsonl")]
    texts += [row["text"] for row in read_jsonl(data / "records" / "casebooks.jsonl") if row["split"] == "train"]
    kept, held = [], 0
    for text in texts:
        if text[:40] not in dev and held < n_characters:
            kept.append(text)
            held += len(text)
    return kept


class Family:
    """A base that is trained here, or given, and a task to judge adapters by."""

    name = ""
    metric = ""

    def __init__(self, data: Path, work: Path, settings: Settings, given: Path | None = None) -> None:
        self.data, self.settings = data, settings
        self.folder = given or work / "bases" / f"{self.name}-{settings.digest}"
        if given is None and not (self.folder / "config.json").exists():
            self.pretrain(self.folder)

    def measure(self, row: Row, seed: int, place: Path) -> dict[str, Any]:
        """Trains a row and judges it. `place`: where this seed's domain adapter is kept."""
        torch.manual_seed(seed)
        base, s = self.base(), self.settings
        adapted = Adapted(base)
        config = AdapterConfig(LoraShape(s.rank, 2.0 * s.rank), seed=seed)
        rows = self.rows()
        labels = base.labels(rows)
        if row.domain:
            if not (place / MANIFEST).exists():
                other = Adapted(self.base())
                other.add("domain", config.shape)
                other.train_only("domain")
                learnt = fit_step(other, other.base.domain(records_text(self.data, s.domain), seed), 1, s.domain_rate, config, None)
                write_adapter(other, place, {}, {"domain": learnt})
            adapted.load(open_adapter(place))
        base.take_labels(labels)
        if row.downstream:
            adapted.add("downstream", config.shape)
        adapted.train_only("downstream", *(("domain",) if row.trainable else ()))
        n_trained = adapted.n_trained()
        learnt = fit_step(adapted, base.downstream(rows, labels, seed), s.passes, s.rate, config, None)
        base.network.eval()
        n_base = sum(p.numel() for name, p in base.network.named_parameters() if ".lora_" not in name)
        return {"n_trained": n_trained, "n_base": n_base, "loss": learnt["loss"], **self.judge(base)}

    def pretrain(self, out: Path) -> None: ...

    def base(self) -> Base: ...

    def rows(self) -> list[dict[str, Any]]: ...

    def judge(self, base: Base) -> dict[str, Any]: ...

    @staticmethod
    def score(results: Sequence[Mapping[str, Any]], drawn: np.ndarray) -> float:
        """The metric over records drawn by number, mean over the seeds' results."""
        raise NotImplementedError


class EncoderFamily(Family):
    """Masked LM, then mentions of gold."""

    name, metric = "encoder", "strict F1 of mentions, gold dev"

    def __init__(self, data: Path, work: Path, settings: Settings, given: Path | None = None) -> None:
        if given is not None and given.is_file():  # the general encoder that the shipped one began with
            e5, given, table = given, work / "bases" / given.stem, CharacterTable.load(CHARACTERS)
            if not (given / "config.json").exists():
                save_tagger(start_model(e5, table, 6), table, given)
        super().__init__(data, work, settings, given)

    def pretrain(self, out: Path) -> None:
        s = self.settings
        torch.manual_seed(0)
        table = CharacterTable.load(CHARACTERS)
        shape = EncoderConfig(kind="conv", hidden=s.hidden, n_layers=s.n_layers, n_heads=4, feed=2 * s.hidden, kernel=7,
                              attention_after=(min(3, s.n_layers),), norm_eps=1e-6)
        model = CharTagger(ModelConfig(shape, len(table), character_width=s.hidden // 2, n_bigram_buckets=s.n_buckets, bigram_width=64,
                                       dropout=0.0))
        torch.nn.init.normal_(model.embedding.character.weight, std=0.2)
        base = TaggerBase(model, table, None, "0" * 64, readout="gold", chars_per_batch=4096)
        learn(base, general_text(self.data, s.pretrained), s.pretrained, 1e-3, out)
        save_tagger(model, table, out)

    def base(self) -> TaggerBase:
        model = load_tagger(self.folder, readouts={"gold": list(READOUTS["gold"])}, crf_readouts=("gold",), dropout=0.0)
        return TaggerBase(model, CharacterTable.load(self.folder / "characters.txt"), None, sha256_of(self.folder / "weights.safetensors"),
                          fresh_head=True, max_chars=self.settings.max_chars, chars_per_batch=2048)

    def rows(self) -> list[dict[str, Any]]:
        return read_jsonl(self.data / "gold" / "train.jsonl")[: self.settings.gold_records]

    def judge(self, base: TaggerBase) -> dict[str, Any]:
        dev = read_jsonl(self.data / "gold" / "dev.jsonl")
        return {"counts": mention_counts(dev, lambda text: predict_entities(base.network, base.table, text, "gold"))}

    @staticmethod
    def score(results: Sequence[Mapping[str, Any]], drawn: np.ndarray) -> float:
        sums = [np.asarray(r["counts"])[drawn].sum(0) for r in results]
        return float(np.mean([2 * hits / max(1, n_gold + n_told) for hits, n_gold, n_told in sums]))


class LlamaFamily(Family):
    """Causal LM, then the class of a case book."""

    name, metric = "llama", "macro AUROC of the case books' classes, test"

    def pretrain(self, out: Path) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        from benchmarks.characters_for_llama import character_tokeniser
        from tcmstruct.training.adapter_llama import LlamaBase

        s = self.settings
        texts = general_text(self.data, s.llama_pretrained)
        tokeniser = character_tokeniser([*CharacterTable.load(CHARACTERS).characters])
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=len(tokeniser), hidden_size=s.llama_hidden, intermediate_size=3 * s.llama_hidden,
                             num_hidden_layers=s.llama_layers, num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512,
                             pad_token_id=tokeniser.pad_token_id, bos_token_id=None, eos_token_id=None, tie_word_embeddings=True)
        fresh, lm = out.with_name(out.name + ".fresh"), LlamaForCausalLM(config)
        # wide rows and small batches: with the usual 0.02 and 4,096 tokens a million characters teach it no more than how frequent each is
        torch.nn.init.normal_(lm.model.embed_tokens.weight, std=0.1)
        lm.save_pretrained(fresh)
        tokeniser.save_pretrained(fresh)
        base = LlamaBase(fresh, max_tokens=s.max_chars, tokens_per_batch=512)
        learn(base, texts, s.llama_pretrained, 2e-3, out)
        lm.model.load_state_dict(base.network.model.state_dict())
        lm.tie_weights()
        lm.save_pretrained(out)
        tokeniser.save_pretrained(out)
        shutil.rmtree(fresh)

    def base(self) -> Base:
        from tcmstruct.training.adapter_llama import LlamaBase

        return LlamaBase(self.folder, max_tokens=self.settings.max_chars, tokens_per_batch=1024)

    def rows(self) -> list[dict[str, Any]]:
        return self._drawn("train", self.settings.n_rows)

    def judge(self, base: Any) -> dict[str, Any]:
        rows = self._drawn("test", self.settings.n_judged)
        classes = list(base.network.config.id2label.values())
        shares = base.scores([row["text"] for row in rows]).softmax(1)
        return {"classes": [classes.index(row["label"]) for row in rows], "shares": [[round(float(p), 5) for p in row] for row in shares]}

    def _drawn(self, split: str, n: int) -> list[dict[str, Any]]:
        rows = [row for row in read_jsonl(self.data / "records" / "casebooks.jsonl") if row["split"] == split]
        return [{"text": row["text"], "label": str(row["label"])} for row in random.Random(1).sample(rows, n)]

    @staticmethod
    def score(results: Sequence[Mapping[str, Any]], drawn: np.ndarray) -> float:
        found = []
        for r in results:
            classes, shares = np.asarray(r["classes"])[drawn], np.asarray(r["shares"])[drawn]
            found += [_auroc(classes == c, shares[:, c]) for c in range(shares.shape[1]) if 0 < (classes == c).sum() < len(classes)]
        return float(np.mean(found))


def _auroc(right: np.ndarray, shares: np.ndarray) -> float:
    """Share of pairs that stand in the right order, ties half (Mann and Whitney 1947)."""
    n = right.sum()
    return float((rankdata(shares)[right].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


def learn(base: Base, texts: Sequence[str], n_characters: int, rate: float, out: Path) -> None:
    """Trains the whole of a base on text: what it is pre-trained with. Resumes where it was broken off."""
    if base.kind == "llama":  # its output layer is its table of tokens, and learns too
        base._output = base.network.model.embed_tokens.weight
    task = base.domain(texts, 0)
    out.mkdir(parents=True, exist_ok=True)
    fit(base.network, task.objective, task.one_pass, LoopConfig(n_characters, learning_rate=rate, weight_decay=0.01), out)
    shutil.rmtree(out / "checkpoint", ignore_errors=True)


FAMILIES: dict[str, type[Family]] = {"encoder": EncoderFamily, "llama": LlamaFamily}


def interval(family: type[Family], results: Sequence[Mapping[str, Any]], n_boot: int, against: Sequence[Mapping[str, Any]] = (),
             ) -> tuple[float, float, float]:
    """The score, or its difference to `against`, and the 2.5 and 97.5 percentiles over records drawn anew (the same in both)."""
    n = len(results[0].get("counts", results[0].get("classes")))
    rng = np.random.default_rng(0)

    def one(drawn: np.ndarray) -> float:
        return family.score(results, drawn) - (family.score(against, drawn) if against else 0.0)

    drawn = [one(rng.integers(0, n, n)) for _ in range(n_boot)]
    return one(np.arange(n)), *(float(np.percentile(drawn, q)) for q in (2.5, 97.5))


