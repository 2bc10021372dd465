"""Speed of the training loop in characters a second, and its share of the machine's fp32 matrix ceiling.

    python -m benchmarks.training_speed [--layers 6 12] [--characters 60000]

FLOPs are the model's own: 6 per weight and character in its matrices, and 12·T·H per layer and character for attention
(forward and backward); look-ups and normalisation count nothing.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np

from benchmarks.machine import matrix_ceiling, print_machine
from tcmstruct.labels import READOUTS
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.training.data import Example, batches
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.objectives import Tagging


def flops_per_character(config: ModelConfig, length: int) -> float:
    """Forward and backward FLOPs of one character in a window of `length`."""
    e = config.encoder
    weights = e.n_layers * (4 * e.hidden**2 + 2 * e.hidden * e.feed)
    return 6 * weights + 12 * e.n_layers * length * e.hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--characters", type=int, default=60_000, help="characters to train on")
    parser.add_argument("--length", type=int, default=256)
    arguments = parser.parse_args()
    print_machine()
    rng = random.Random(0)
    numbers = np.random.default_rng(0)
    readouts = {"gold": list(READOUTS["gold"])}
    for n_layers in arguments.layers:
        config = ModelConfig(EncoderConfig(n_layers=n_layers), n_characters=7203, readouts=readouts)
        model = CharTagger(config)
        examples = [Example(numbers.integers(3, 7203, arguments.length, dtype=np.int32), "gold", np.zeros(arguments.length, np.int64),
                            np.full(arguments.length, -100)) for _ in range(40)]
        before = matrix_ceiling()
        speeds: list[float] = []
        at = [time.monotonic(), 0]

        class Timed(Tagging):
            def loss(self, model, batch, at=at, speeds=speeds):
                now = time.monotonic()
                if at[1]:
                    speeds.append(at[1] / (now - at[0]))
                at[0], at[1] = now, batch.n_characters
                return super().loss(model, batch)

        fit(model, Timed(), lambda examples=examples: batches(examples, 2560, rng),
            LoopConfig(n_characters=arguments.characters, log_every_s=1e9), say=lambda _: None)
        after = matrix_ceiling()
        ceiling = max(before, after)
        median = float(np.median(speeds[2:]))
        share = median * flops_per_character(config, arguments.length) / 1e12 / ceiling
        print(f"{n_layers:>2} layers × 384: {median:,.0f} characters/s (median of {len(speeds) - 2} steps), "
              f"{share:.0%} of the fp32 ceiling of {ceiling:.3f} TFLOP/s")


if __name__ == "__main__":
    main()
