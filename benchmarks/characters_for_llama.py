"""A tokeniser of single characters in the form that a LLaMA's folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def character_tokeniser(characters: Sequence[str]) -> Any:
    """`PreTrainedTokenizerFast` with one token a character; others are unknown."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = dict.fromkeys(["<pad>", "<unk>", *(c for c in characters if len(c) == 1)])
    tokeniser = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokeniser.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokeniser, unk_token="<unk>", pad_token="<pad>")
