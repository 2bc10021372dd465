"""The systems of table 1 and of the ablation: what they are, how their networks are built at true size, how they are opened.

Networks that are too large to train here, or whose pre-trained weights are not at hand, are built at the size of their papers with
random weights: memory and speed do not depend on what weights hold. They run through the same program as ours (exported to ONNX
in fp32, onnxruntime, the same windows, decoding and schema), so that only the networks and the batches differ; their heads are
biased towards "no mention", because random mentions would cost time that a trained model does not take.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.labels import READOUTS
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, replacing
from tcmstruct.runtime.tagger import OnnxTagger

Structure = Callable[[Sequence[Record]], Sequence[StructuredRecord]]

BERT_ROWS = 21_128
"""Rows of the Chinese BERTs' word-piece table."""
TRANSFORMER_CHARS = 496
"""Window of the transformers: they have 512 positions, one of them before the text, and windows are padded to sixteens."""
USUAL_BATCH = 32
"""Windows of a batch where nothing is trimmed: as they come, padded to the longest."""
NO_MENTION = 50.0
"""Bias of the tag "outside" in a network that was not trained."""
UNSEEN_TERM = "\ue000\ue001"
"""The one term of an emptied lexicon: private-use characters, which no record holds."""


@dataclass(frozen=True)
class Paper:
    """The paper's figures of a system: F1 in percent, records/s on its GPU, memory in GB. None: not known to us."""

    f1: float | None = None
    records_s: float | None = None
    memory_gb: float | None = None


@dataclass(frozen=True)
class System:
    """A row.

    Attributes:
        text: its text model: "shipped", "no-lexicon", "cnn-bilstm-crf", or a name of `TEXT_NETWORKS`.
        photo: its attribute network: "shipped", a name of `PHOTO_NETWORKS`, or None where it looks at no photograph.
        gated: False leaves the fusion's gate open (trained so).
        trimmed: False reads `USUAL_BATCH` windows a batch.
        trained: None where its F1 can be measured, else why not.
        photo_trained: the same of its photo side.
        large: reads fewer records, because each takes seconds.
    """

    title: str
    text: str = "shipped"
    photo: str | None = "shipped"
    gated: bool = True
    trimmed: bool = True
    trained: str | None = None
    photo_trained: str | None = None
    large: bool = False
    paper: Paper = Paper()


NOT_TRAINED = "not trained"
SYSTEMS: dict[str, System] = {
    "bert-large": System("BERT-Large (24 × 1024), text alone", "bert-large", None, trimmed=False, trained=NOT_TRAINED, large=True,
                         paper=Paper(92.1, 8, 15.2)),
    "cnn-bilstm-crf": System("CNN-BiLSTM-CRF, text alone", "cnn-bilstm-crf", None, trimmed=False),
    "ours": System("**ours (shipped)**", paper=Paper(91.7, 22, 3.8)),
    "no-gate": System("ours − gate", gated=False),
    "no-trimming": System("ours − trimming (batches of 32)", trimmed=False),
    "efficientnet-b0": System("T (our text) + EfficientNet-B0", photo="efficientnet-b0", photo_trained=NOT_TRAINED),
    "mobile": System("MobileBERT + MobileNetV2", "mobilebert", "mobilenet-v2", trimmed=False, trained=NOT_TRAINED,
                     photo_trained=NOT_TRAINED, large=True),
    "no-vocabulary": System("ours − vocabulary (shipped model, lexicon marks zeroed)", "no-lexicon"),
}
ABLATION = ("ours", "no-gate", "no-trimming", "no-vocabulary")
PAPER_ROWS = tuple(name for name in SYSTEMS if name != "no-vocabulary")


# ---------------------------------------------------------------- building

def build(name: str, out: Path, fusion_run: Path | None = None) -> None:
    """Writes the model folder of a network of `TEXT_NETWORKS` or `PHOTO_NETWORKS`, "no-lexicon" or "open-gate"."""
    if name in TEXT_NETWORKS:
        with replacing(out, _text_card()) as fresh:
            TEXT_NETWORKS[name](fresh / "model.onnx")
            shutil.copy(DEFAULT_FOLDER / "characters.txt", fresh)
    elif name in PHOTO_NETWORKS:
        from tcmstruct.image.tongue_model import TONGUE_FOLDER

        card = json.loads((TONGUE_FOLDER / "card.json").read_text(encoding="utf-8"))
        with replacing(out, card) as fresh:
            shutil.copy(TONGUE_FOLDER / "segment.onnx", fresh)
            PHOTO_NETWORKS[name](fresh / "attributes.onnx", sum(len(head["classes"]) for head in card["heads"].values()))
    elif name == "no-lexicon":
        _without_lexicon(out)
    else:
        _open_gate(out, fusion_run)


def _text_card() -> dict[str, Any]:
    return {"format": 1, "name": "random weights, for speed and memory alone", "readouts": {"gold": list(READOUTS["gold"])},
            "window_chars": TRANSFORMER_CHARS, "window_overlap_chars": TRANSFORMER_CHARS // 4, "transitions": {},
            "review_below": {"field": 0.9, "entity": 0.9}}


def bert_large(path: Path) -> None:
    """24 layers, H 1024, 16 heads, feed-forward 4096 (Devlin et al. 2019), rows of the Chinese BERTs."""
    import torch

    from tcmstruct.compression.export import Exported
    from tcmstruct.model.config import EncoderConfig, ModelConfig
    from tcmstruct.model.tagger import CharTagger

    torch.manual_seed(0)
    model = CharTagger(ModelConfig(EncoderConfig(hidden=1024, n_layers=24, n_heads=16, feed=4096), n_characters=BERT_ROWS,
                                   readouts={"gold": list(READOUTS["gold"])}, dropout=0.0))
    with torch.no_grad():
        model.readouts["gold"].bias[0] = NO_MENTION
    _export(Exported(model.eval(), ["gold"]), torch.randint(3, 100, (2, 64), dtype=torch.int32), path, *TAGGER)


def mobilebert(path: Path) -> None:
    """24 layers of 512 with bottlenecks of 128 (Sun et al. 2020), from transformers, rows of the Chinese BERTs."""
    import torch

    MobileBertConfig, MobileBertModel = _transformers("MobileBertConfig", "MobileBertModel")
    torch.manual_seed(0)

    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = MobileBertConfig(vocab_size=BERT_ROWS, attn_implementation="eager")
            self.encoder = MobileBertModel(config, add_pooling_layer=False)
            self.head = torch.nn.Linear(config.hidden_size, 1 + 2 * len(READOUTS["gold"]) + 4)
            torch.nn.init.normal_(self.head.weight, std=1e-4)  # nothing normalises these layers: their outputs are large
            with torch.no_grad():
                self.head.bias[0] = NO_MENTION

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            bias = ((ids == 0).float() * -1e4)[:, None, None, :]
            hidden = self.encoder(input_ids=ids.long(), attention_mask=bias).last_hidden_state
            return self.head(hidden), hidden

    _export(Tagger(), torch.randint(3, 100, (2, 64), dtype=torch.int32), path, *TAGGER)


def efficientnet_b0(path: Path, n_scores: int) -> None:
    """EfficientNet-B0 (Tan & Le 2019), from transformers."""
    import torch

    Config, Model = _transformers("EfficientNetConfig", "EfficientNetForImageClassification")
    torch.manual_seed(0)
    _export_pixels(Model(Config(width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280, dropout_rate=0.2,
                                num_labels=n_scores)), path)


def mobilenet_v2(path: Path, n_scores: int) -> None:
    """MobileNetV2 at width 1.0 (Sandler et al. 2018), from transformers."""
    import torch

    Config, Model = _transformers("MobileNetV2Config", "MobileNetV2ForImageClassification")
    torch.manual_seed(0)
    _export_pixels(Model(Config(image_size=224, num_labels=n_scores)), path)


TAGGER = (["ids"], ["scores", "hidden"], {name: {0: "B", 1: "T"} for name in ("ids", "scores", "hidden")})
"""Inputs, outputs and axes of an exported tagger: any number of windows of any length."""
TEXT_NETWORKS: dict[str, Callable[[Path], None]] = {"bert-large": bert_large, "mobilebert": mobilebert}
PHOTO_NETWORKS: dict[str, Callable[[Path, int], None]] = {"efficientnet-b0": efficientnet_b0, "mobilenet-v2": mobilenet_v2}


def _transformers(*names: str) -> tuple[Any, ...]:
    import transformers

    return tuple(getattr(transformers, name) for name in names)


def _export_pixels(net: Any, path: Path) -> None:
    """(1, 224, 224, 3) uint8 → (1, scores)."""
    import torch

    class OfPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return self.net(pixel_values=(crops.float() / 127.5 - 1).permute(0, 3, 1, 2)).logits

    _export(OfPixels(), torch.zeros(1, 224, 224, 3, dtype=torch.uint8), path, ["crops"], ["scores"], {})


def _export(module: Any, example: Any, path: Path, inputs: list[str], outputs: list[str], axes: dict[str, dict[int, str]]) -> None:
    """One file in fp32; `axes`: input or output → its axes that may have any length. By torch's older exporter: on these graphs, which
    are measured and not shipped, it is ten times as fast as the newer one."""
    import warnings

    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), example, str(path), dynamo=False, opset_version=17, input_names=inputs, output_names=outputs,
                          dynamic_axes=axes)


def _without_lexicon(out: Path) -> None:
    """The shipped folder with a lexicon whose one term never occurs: all marks are zero, the graph is the same."""
    from tcmstruct.text.lexicon import Lexicon

    groups = Lexicon.load(DEFAULT_FOLDER / "lexicon.txt").groups
    with replacing(out, json.loads((DEFAULT_FOLDER / "card.json").read_text(encoding="utf-8"))) as fresh:
        for name in ("model.onnx", "characters.txt"):
            shutil.copy(DEFAULT_FOLDER / name, fresh)
        Lexicon(groups, {UNSEEN_TERM: (0,)}).save(fresh / "lexicon.txt")


def _open_gate(out: Path, run: Path | None) -> None:
    """The fusion that was trained with its gate open (`all-open` of a working folder of `recipes.fusion_train`)."""
    from safetensors import safe_open

    from benchmarks.fusion import _net

    if run is None:
        raise ValueError("no working folder of the fusion is given")
    with safe_open(run / "all-open" / "net.safetensors", "pt") as kept:
        hidden = kept.get_tensor("fusion.query.weight").shape[1]
    export_fusion(_net(run, "all-open", hidden, gated=False), out)


def export_fusion(net: Any, out: Path) -> None:
    """Writes a fusion as `recipes.fusion_train.export` does, with the shipped one's card."""
    import torch

    from tcmstruct.compression.export import halve
    from tcmstruct.model.fusion import WindowSums
    from tcmstruct.runtime.fusion import FUSION_FOLDER

    class Kept(WindowSums):
        def forward(self, hidden: torch.Tensor, places: torch.Tensor, quality: torch.Tensor) -> tuple[torch.Tensor, ...]:
            sums, gate, attention = super().forward(hidden, places, quality)
            return sums + 0.0 * quality.sum(), gate, attention  # an open gate does not read it, and the exporter would drop the input

    config = net.config
    example = (torch.zeros(20, config.hidden), torch.zeros(49, config.token_width), torch.zeros(config.n_quality))
    with replacing(out, json.loads((FUSION_FOLDER / "card.json").read_text(encoding="utf-8"))) as fresh:
        _export(Kept(net), example, fresh / "model.onnx", ["hidden", "places", "quality"], ["sums", "gate", "attention"],
                {name: {0: "T"} for name in ("hidden", "gate", "attention")})
        halve(fresh / "model.onnx")


# ---------------------------------------------------------------- opening

class FixedBatches(OnnxTagger):
    """What a usual pipeline does: windows in the order they come, `USUAL_BATCH` a batch, padded to the longest of the batch."""

    def _plan(self, jobs: list[Any]) -> Any:
        for at in range(0, len(jobs), USUAL_BATCH):
            yield jobs[at : at + USUAL_BATCH]

    def _feed(self, batch: Sequence[Any]) -> dict[str, np.ndarray]:
        longest = max(batch, key=lambda job: job.padded)
        return {name: values[1:] for name, values in super()._feed([longest, *batch]).items()}  # the first row gives the length


def open_system(text: Path | None, *, photo: Path | None = None, fusion: Path | None = None, trimmed: bool = True, threads: int,
                image_root: Path | None = None, memory_limit_bytes: int | None = None) -> Structure:
    """Our program with parts exchanged.

    Args:
        text: model folder, None for the shipped one.
        photo: model folder of another attribute network; fusion: of another fusion.
        image_root: folder of the records' photographs; without it none is looked at.
    """
    from tcmstruct.pipeline import Structurer

    structurer = Structurer(text, threads=threads, image_root=image_root, memory_limit_bytes=memory_limit_bytes)
    if not trimmed:
        structurer.tagger.__class__ = FixedBatches  # in place: a second session would count as memory
    if image_root is not None and photo is not None:
        from benchmarks.photo_speed import _read_out
        from tcmstruct.image.examine import TongueExaminer

        structurer.photo_side.examiner = TongueExaminer(photo)
        _read_out(structurer.photo_side.examiner.model)
    if image_root is not None and fusion is not None and structurer.photo_side.fusion is not None:
        from tcmstruct.runtime.fusion import Fusion

        structurer.photo_side.fusion = Fusion(fusion)
    return structurer.structure_many


def open_cnn(data: Path, cache: Path, n_passes: float, seed: int) -> Structure:
    """The CNN-BiLSTM-CRF with our schema, trained on gold train (kept in `cache`)."""
    from benchmarks.baselines import as_records
    from benchmarks.baselines.cnn_bilstm_crf import Shape, make_fit
    from tcmstruct.evaluation import read_annotated
    from tcmstruct.schema import load_schema

    predict = make_fit(load_schema("all"), cache, Shape(n_passes=n_passes), seed)(read_annotated(data / "gold" / "train.jsonl"))

    def structure(records: Sequence[Record]) -> list[StructuredRecord]:
        return as_records([StructuredRecord(r.id, r.text) for r in records], predict([r.text for r in records]))

    return structure


def n_parameters(network: Path) -> int:
    """Weights that an ONNX file holds, in whatever precision; scales and zero points of a quantised graph left out."""
    import onnx
    from onnx import TensorProto

    model = onnx.load(str(network))
    kinds = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32}
    beside = {name for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.input[1:]}
    beside |= {name for node in model.graph.node if node.op_type.startswith("QLinear") for i, name in enumerate(node.input) if i != 3}
    beside |= {name for node in model.graph.node if node.op_type in _SHAPING for name in node.input[1:]}
    return sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.dims and t.data_type in kinds and t.name not in beside)


def products(network: Path) -> int:
    """Multiplications and additions a character of all matrix products and convolutions with weights; attention's own products and
    look-ups are not counted."""
    import onnx

    model = onnx.load(str(network))
    looked_up = {node.input[0] for node in model.graph.node if node.op_type in ("Gather", "Slice")}
    return 2 * sum(int(np.prod(t.dims)) for t in model.graph.initializer if len(t.dims) >= 2 and t.name not in looked_up)


_SHAPING = ("Reshape", "Slice", "Expand", "Unsqueeze", "Squeeze", "ReduceMean", "ReduceSum", "Pad", "Resize", "Tile")
"""Operators whose inputs from the second on are sizes, not weights."""
