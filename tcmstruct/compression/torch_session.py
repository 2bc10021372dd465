"""A checkpoint behind the interface of the runtime's sessions: the trained model judged by the very code that judges artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from tcmstruct.compression.export import Exported
from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.runtime.backends import Input


class TorchSession:
    """`runtime.backends.Session` over a trained tagger.

    Args:
        checkpoint: folder of a trained tagger.
        readouts: in the order of the card of the folder that was exported from it.
    """

    def __init__(self, checkpoint: Path, readouts: Sequence[str]) -> None:
        model = load_tagger(checkpoint).eval()
        features = model.config.lexicon_features
        self._module = Exported(model, readouts).eval()
        self.inputs = (Input("ids", np.dtype(np.int32), ()),
                       *((Input("lexicon", np.dtype(np.uint8), (features,)),) if features else ()))
        self.device_bytes = None

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        with torch.inference_mode():
            scores, hidden = self._module(*(torch.from_numpy(feed[i.name]) for i in self.inputs))
        found = {"scores": scores, "hidden": hidden}
        return [found[name].numpy() for name in outputs]
