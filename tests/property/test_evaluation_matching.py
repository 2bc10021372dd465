"""The scores against their definitions, and against two libraries where those can express the case."""

import dataclasses
import itertools
import random

import nervaluate
import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2

from tcmstruct.evaluation import evaluate, list_errors
from tcmstruct.evaluation.matching import SCHEMES, Span, match
from tcmstruct.record import FieldValue, Mention, StructuredRecord

TYPES = ("症状", "舌苔", "脉象")
STATUSES = ("有", "无", "既往")
LENGTH = 40
TEXT = "咳" * LENGTH


@st.composite
def mentions(draw, max_size=7, status=STATUSES):
    out = []
    for _ in range(draw(st.integers(0, max_size))):
        start = draw(st.integers(0, LENGTH - 1))
        out.append(Mention(draw(st.sampled_from(TYPES)), start, draw(st.integers(start + 1, min(start + 9, LENGTH))),
                           draw(st.sampled_from(status)), draw(st.sampled_from((.3, .7, .9)))))
    return out


@st.composite
def values(draw):
    names = draw(st.lists(st.sampled_from(["咳嗽", "脉象", "最高体温"]), unique=True))
    pulses = st.lists(st.sampled_from("弦滑数"), min_size=1)
    value = st.one_of(st.sampled_from(["有", "无"]), pulses, st.integers(36, 40))
    return {name: FieldValue(draw(value), "", 0, 1) for name in names}


@st.composite
def corpora(draw, status=STATUSES):
    n = draw(st.integers(1, 4))
    sides = [[StructuredRecord(str(i), TEXT, draw(mentions(status=status)), draw(values())) for i in range(n)]
             for _ in range(2)]
    sides[0][0].entities = [*sides[0][0].entities, *(Mention(t, i, i + 1, "有") for i, t in enumerate(TYPES))]
    sides[0][0].fields = {**sides[0][0].fields, "咳嗽": FieldValue("有", "", 0, 1)}
    return sides


def best_by_trying_all(gold, pred, scheme):
    """Greatest total credit over every one-to-one pairing, by going through all of them."""
    def credit(g, p):
        return sum(pair.credit for pair in match([g], [p])[scheme])

    if len(gold) > len(pred):
        return max((sum(credit(g, p) for g, p in zip(chosen, pred, strict=True))
                    for chosen in itertools.permutations(gold, len(pred))), default=0)
    return max((sum(credit(g, p) for g, p in zip(gold, chosen, strict=True))
                for chosen in itertools.permutations(pred, len(gold))), default=0)


@settings(max_examples=60, deadline=None)
@given(mentions(4, ("有", None)), mentions(4, ("有", None)))
def test_the_pairing_is_the_best_of_all_pairings(gold, pred):
    gold = [Span(m.start, m.end, m.type, m.status or "") for m in gold]
    pred = [Span(m.start, m.end, m.type, m.status or "") for m in pred]
    for scheme, pairs in match(gold, pred).items():
        assert sum(pair.credit for pair in pairs) == pytest.approx(best_by_trying_all(gold, pred, scheme))
        assert len({pair.gold for pair in pairs}) == len({pair.pred for pair in pairs}) == len(pairs)


@settings(max_examples=40, deadline=None)
@given(corpora(), st.randoms(use_true_random=False))
def test_order_of_records_and_mentions_does_not_matter(sides, rng):
    def shuffled(records):
        out = [dataclasses.replace(r, entities=rng.sample(r.entities, len(r.entities)),
                                   fields=dict(rng.sample(list(r.fields.items()), len(r.fields)))) for r in records]
        return rng.sample(out, len(out))

    gold, pred = sides
    before, after = evaluate(gold, pred, n_boot=0), evaluate(shuffled(gold), shuffled(pred), n_boot=0)
    assert before.calibration.keys() == after.calibration.keys()
    for name, calibration in before.calibration.items():
        assert calibration.ece == pytest.approx(after.calibration[name].ece)
    assert dataclasses.replace(before, calibration={}) == dataclasses.replace(after, calibration={})
    assert sorted(map(repr, list_errors(gold, pred))) == sorted(map(repr, list_errors(shuffled(gold), shuffled(pred))))


@settings(max_examples=40, deadline=None)
@given(corpora())
def test_swapping_the_sides_swaps_precision_and_recall(sides):
    gold, pred = sides
    pred[0].entities, pred[0].fields = [*pred[0].entities, *gold[0].entities], {**gold[0].fields, **pred[0].fields}
    for record in (*gold, *pred):  # so that both sides hold the same types and fields
        record.fields = {name: v for name, v in record.fields.items() if name == "咳嗽"}
    there, back = evaluate(gold, pred, n_boot=0), evaluate(pred, gold, n_boot=0)
    pairs = [(there.entities[s], back.entities[s]) for s in SCHEMES] + [(there.fields.micro, back.fields.micro)]
    for a, b in pairs:
        assert (a.precision.value, a.recall.value, a.n_gold) == (b.recall.value, b.precision.value, b.n_pred)
        assert a.f1.value == pytest.approx(b.f1.value)


@settings(max_examples=40, deadline=None)
@given(corpora())
def test_perfect_is_one_and_every_figure_lies_in_range(sides):
    gold, pred = sides
    perfect = evaluate(gold, gold, n_boot=20)
    assert {score.f1.value for score in perfect.entities.values()} == {1}
    assert perfect.fields.micro.f1.value == perfect.status.accuracy.value == 1
    assert not perfect.error_counts
    found = evaluate(gold, pred, n_boot=20).entities
    assert found["strict"].credit <= found["exact"].credit <= found["boundary"].credit <= found["partial"].credit
    assert found["exact"].credit <= found["type"].credit
    assert all(0 <= s.f1.value <= 1 for s in found.values())


@settings(max_examples=40, deadline=None)
@given(corpora())
def test_errors_and_right_mentions_add_up(sides):
    gold, pred = sides
    result, n = evaluate(gold, pred, n_boot=0), evaluate(gold, pred, n_boot=0).error_counts
    paired = sum(n.get(kind, 0) for kind in ("border", "type", "border+type", "status"))
    strict = result.entities["strict"]
    right = strict.n_gold - paired - n.get("missed", 0)
    assert strict.n_pred - paired - n.get("spurious", 0) == right
    assert right == strict.credit
    assert n.get("status", 0) == result.entities["exact"].credit - strict.credit
    fields = result.fields.micro
    assert fields.n_gold - fields.credit == n.get("field_missed", 0) + n.get("field_value", 0)


def slots(rng, n_slots=6, width=6):
    """Gold and prediction whose spans lie one to a slot, so that every tool pairs them alike."""
    gold, pred = [], []
    for slot in range(n_slots):
        for side in (gold, pred):
            if rng.random() < .75:
                start = slot * width + rng.randrange(width - 2)
                side.append((rng.choice(TYPES), start, rng.randint(start + 1, (slot + 1) * width)))
        if gold and rng.random() < .4:  # some agree
            pred[:] = [p for p in pred if p[1] // width != gold[-1][1] // width] + [gold[-1]]
    return gold, sorted(pred, key=lambda span: span[1])


def as_records(docs):
    return [StructuredRecord(str(i), TEXT, [Mention(*span) for span in spans]) for i, spans in enumerate(docs)]


@pytest.mark.parametrize("seed", range(40))
def test_nervaluate_agrees(seed):
    rng = random.Random(seed)
    gold, pred = zip(*(slots(rng) for _ in range(5)), strict=True)
    gold = ([*gold[0], *((t, 36 + i, 37 + i) for i, t in enumerate(TYPES))], *gold[1:])  # every type stands in gold
    gold, pred = list(gold), list(pred)
    ours = evaluate(as_records(gold), as_records(pred), n_boot=0).entities
    theirs = nervaluate.Evaluator(*([[{"label": t, "start": s, "end": e - 1} for t, s, e in doc] for doc in side]
                                    for side in (gold, pred)), tags=list(TYPES), loader="dict").evaluate()["overall"]
    for scheme, name in {"exact": "strict", "boundary": "exact", "partial": "partial", "type": "ent_type"}.items():
        for figure in ("precision", "recall", "f1"):
            assert getattr(ours[scheme], figure).value == pytest.approx(getattr(theirs[name], figure), abs=1e-9)
    assert ours["strict"] == ours["exact"]


@settings(max_examples=40, deadline=None)
@given(corpora(status=(None,)))
def test_the_best_pairing_is_never_below_a_greedy_one(sides):
    gold, pred = sides
    for records in sides:
        for record in records:
            record.entities = [dataclasses.replace(m, status=None, confidence=1.0)
                               for m in {(m.type, m.start, m.end): m for m in record.entities}.values()]
    ours = evaluate(gold, pred, n_boot=0).entities
    theirs = nervaluate.Evaluator(*([[{"label": m.type, "start": m.start, "end": m.end - 1} for m in r.entities]
                                     for r in side] for side in sides), tags=list(TYPES), loader="dict").evaluate()
    for scheme, name in {"exact": "strict", "boundary": "exact", "partial": "partial", "type": "ent_type"}.items():
        greedy = theirs["overall"][name]
        assert ours[scheme].credit >= greedy.correct + .5 * greedy.partial


def as_bio(spans):
    tags = ["O"] * LENGTH
    for name, start, end in spans:
        tags[start:end] = [f"B-{name}"] + [f"I-{name}"] * (end - start - 1)
    return tags


@pytest.mark.parametrize("seed", range(40))
def test_seqeval_agrees(seed):
    rng = random.Random(seed)

    def disjoint():
        spans, place = [], 0
        while (place := place + rng.randrange(4)) < LENGTH - 4:
            end = place + rng.randint(1, 4)
            spans.append((rng.choice(TYPES), place, end))
            place = end
        return spans

    gold = [disjoint() for _ in range(6)]
    pred = [[s for s in doc if rng.random() < .6] if rng.random() < .7 else disjoint() for doc in gold]
    ours = evaluate(as_records(gold), as_records(pred), n_boot=0)
    assert set(ours.by_type) == set(TYPES)
    tags = [as_bio(doc) for doc in gold], [as_bio(doc) for doc in pred]
    for figure, theirs in {"precision": seqeval.metrics.precision_score, "recall": seqeval.metrics.recall_score,
                           "f1": seqeval.metrics.f1_score}.items():
        expected = theirs(*tags, mode="strict", scheme=IOB2, average="micro", zero_division=0)
        assert getattr(ours.entities["exact"], figure).value == pytest.approx(expected, abs=1e-9)
        by_type = theirs(*tags, mode="strict", scheme=IOB2, average=None, zero_division=0)
        for name, one in zip(sorted(TYPES), by_type, strict=True):
            assert getattr(ours.by_type[name]["exact"], figure).value == pytest.approx(one, abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_interval_holds_the_point(seed):
    rng = random.Random(seed)
    gold, pred = zip(*(slots(rng) for _ in range(30)), strict=True)
    result = evaluate(as_records(gold), as_records(pred), n_boot=300, seed=seed)
    scores = [*result.entities.values(), *(s for schemes in result.by_type.values() for s in schemes.values())]
    for figure in (f for s in scores for f in (s.precision, s.recall, s.f1)):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
