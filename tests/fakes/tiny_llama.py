"""A LLaMA-style decoder of a few thousand weights, drawn at random, as a local folder. Needs torch and transformers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch

from benchmarks.characters_for_llama import character_tokeniser

CHARACTERS = "舌淡红苔薄白黄腻脉弦滑数咳嗽痰三天无发热便血肛门疼痛，。"


@cache
def tiny_llama(seed: int = 0) -> Path:
    """The folder; made once a process. Nothing may be written into it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    tokeniser = character_tokeniser(CHARACTERS)
    config = LlamaConfig(vocab_size=len(tokeniser), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=2, max_position_embeddings=64, pad_token_id=tokeniser.pad_token_id, bos_token_id=None,
                         eos_token_id=None)
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(place)
    tokeniser.save_pretrained(place)
    return place
