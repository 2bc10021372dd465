"""Backends: named, refused with what to do, the same bytes in any batch, and the same mentions as onnxruntime."""



import numpy as np
import onnxruntime
import pytest

from tcmstruct.errors import MissingExtra, ModelError, UsageError
from tcmstruct.runtime import backends, memory, memory_fit
from tcmstruct.runtime.memory import BatchMemory
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder
from tcmstruct.runtime.tagger import OnnxTagger

MODEL = DEFAULT_FOLDER / "model.onnx"
CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
cuda = pytest.mark.skipif(not CUDA, reason="onnxruntime has no CUDA provider here")
TEXTS = ["反复咳嗽3天，咳黄痰。", "舌红，苔黄腻，脉滑数。" * 9, "便血" * 7, "患者神清，纳可，否认头痛、发热。" * 40, "苔白。", "咳嗽3天。"]


def flat(scores):
    return [(part.window, part.status.tobytes(), *(a.tobytes() for a in part.tags.values())) for parts in scores for part in parts]


def test_an_unknown_backend_is_refused_with_those_that_are_known():
    with pytest.raises(UsageError, match="onnxruntime, openvino, openvino-bf16, cuda") as refused:
        backends.backend_named("tensorflow")
    assert refused.value.code == "unknown_backend" and refused.value.exit_code == 2


def test_a_missing_library_is_named_with_its_install_command(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    for name in ("openvino", "openvino-bf16"):
        with pytest.raises(MissingExtra, match=r"pip install 'tcmstruct\[openvino\]'"):
            backends.backend_named(name)
    assert "openvino" not in backends.usable()


def test_bf16_is_refused_where_the_processor_has_none(monkeypatch):
    monkeypatch.setattr(backends, "_no_openvino", lambda: None)
    monkeypatch.setattr(backends, "_openvino_capabilities", lambda: ("FP32", "INT8"))
    with pytest.raises(UsageError, match="no bf16"):
        backends.backend_named("openvino-bf16")
    monkeypatch.setattr(backends, "_openvino_capabilities", lambda: ("FP32", "BF16"))
    assert backends.backend_named("openvino-bf16").batches == "alone"


@pytest.mark.skipif(CUDA, reason="there is a CUDA provider")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="onnxruntime-gpu"):
        backends.backend_named("cuda")


def test_a_file_that_is_no_graph_is_a_model_error(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot read this graph") as refused:
        backends.backend_named("onnxruntime").open(tmp_path / "model.onnx", 1, None)
    assert str(tmp_path.parent) not in str(refused.value)


def test_the_shipped_graph_gives_the_same_bytes_in_any_batch():
    session = backends.backend_named("onnxruntime").open(MODEL, 1, None)
    assert session.device_bytes is None
    assert [(i.name, i.tail) for i in session.inputs] == [("ids", ()), ("lexicon", (68,))]
    assert backends.same_in_any_batch(session, chars=(48, 208))


class Moody:
    """Answers with the number of windows of the batch in its scores, from `limit` windows on."""

    inputs = (backends.Input("ids", np.dtype(np.int32), ()),)
    device_bytes = None

    def __init__(self, limit=1):
        self.limit, self.sizes = limit, []

    def run(self, outputs, feed, give_back=False):
        self.sizes.append(len(feed["ids"]))
        return [feed["ids"].astype(np.float32) + (len(feed["ids"]) if len(feed["ids"]) >= self.limit else 0)]


def test_a_backend_that_minds_its_batch_is_found_out():
    assert not backends.same_in_any_batch(Moody(1))
    assert not backends.same_in_any_batch(Moody(20))
    session = Moody(100)
    assert backends.same_in_any_batch(session)
    assert {1, 7, 32} <= set(session.sizes)


@pytest.mark.parametrize(("batches", "limit", "alone"),
                         [("any", 1, False), ("alone", 100, True), ("proved", 100, False), ("proved", 20, True)])
def test_who_runs_one_window_a_batch(monkeypatch, batches, limit, alone):
    monkeypatch.setitem(backends.BACKENDS, "moody", backends.Backend("moody", lambda *_: Moody(limit), lambda: None, batches))
    assert OnnxTagger(open_folder(), 1, backend="moody").alone is alone


def test_alone_means_a_batch_for_every_window():
    tagger = OnnxTagger(open_folder(), threads=1)
    wanted = flat(tagger.scores(TEXTS))
    tagger.alone = True
    assert {len(batch) for batch in tagger._plan(tagger._jobs(TEXTS))} == {1}
    assert flat(tagger.scores(TEXTS)) == wanted


def test_the_meter_of_a_card_tells_the_most_above_what_was_loaded():
    used = iter([100, 130, 120, 180])
    taken = memory_fit.device_meter(lambda: next(used))
    assert [taken(), taken(), taken()] == [30, 30, 80]


def test_a_limit_of_a_card_below_its_smallest_batch_is_refused_with_both_numbers():
    batch, loaded = BatchMemory(10_000, 40, 0, "fitted"), 300 * 2**20
    least = loaded + batch.bytes(1, memory.MIN_CHARS_PER_BATCH)
    found = memory.budget(least, batch, photos=True, device_bytes=loaded)
    assert (found.loaded_bytes, found.reserved_bytes, found.windows(memory.MIN_CHARS_PER_BATCH)) == (loaded, 0, 1)
    with pytest.raises(UsageError, match=rf"is {(least - 1) // 2**20} MB of the graphics card, the model needs {least // 2**20 + 1} MB"):
        memory.budget(least - 1, batch, device_bytes=loaded)


@cuda
def test_cuda_reads_what_the_processor_reads_under_any_limit():
    wanted = OnnxTagger(open_folder(), threads=1).scores(TEXTS)
    tagger = OnnxTagger(open_folder(), threads=1, backend="cuda")
    assert tagger.device_bytes > 0
    free = tagger.scores(TEXTS)
    for one, other in zip(wanted, free, strict=True):
        assert all(np.allclose(a.tags["gold"], b.tags["gold"], atol=0.05) for a, b in zip(one, other, strict=True))
    fitted = memory_fit.fit(MODEL, 1, "cuda")
    assert fitted.source == "fitted"
    limit = tagger.device_bytes + fitted.bytes(1, 512)
    tagger.budget = memory.budget(limit, fitted, device_bytes=tagger.device_bytes)
    assert flat(tagger.scores(TEXTS)) == flat(free)


@cuda
def test_cuda_survives_a_card_that_is_too_small_for_a_batch():
    free = flat(OnnxTagger(open_folder(), threads=1, backend="cuda").scores(TEXTS * 8))
    tight = OnnxTagger(open_folder(), threads=1, chars_per_batch=50_000, backend="cuda", device_limit_bytes=60 * 2**20)
    assert flat(tight.scores(TEXTS * 8)) == free
    assert tight.halvings > 0


def test_no_driver_no_figure(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(backends.ctypes, "CDLL", missing)
    with pytest.raises(OSError):
        backends.device_used_bytes()
    with pytest.raises(UsageError, match="backend cuda"):
        backends._device_used()


