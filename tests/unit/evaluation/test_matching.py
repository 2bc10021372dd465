from tcmstruct.evaluation.matching import SCHEMES, Pair, Span, align, match


def credits(gold, pred):
    return {scheme: sum(pair.credit for pair in pairs) for scheme, pairs in match(gold, pred).items()}


def test_each_scheme_asks_for_less_than_the_one_before():
    gold = [Span(0, 2, "症状", "有")]
    assert credits(gold, [Span(0, 2, "症状", "有")]) == dict.fromkeys(SCHEMES, 1)
    assert credits(gold, [Span(0, 2, "症状", "无")]) == {**dict.fromkeys(SCHEMES, 1), "strict": 0}
    nothing = dict.fromkeys(SCHEMES, 0)
    assert credits(gold, [Span(0, 2, "舌苔")]) == {**nothing, "boundary": 1, "partial": 1}
    assert credits(gold, [Span(0, 3, "症状", "有")]) == {**nothing, "partial": .5, "type": 1}
    assert credits(gold, [Span(1, 3, "舌苔")]) == {**nothing, "partial": .5}
    assert credits(gold, [Span(2, 4, "症状", "有")]) == nothing


def test_a_status_that_gold_does_not_state_is_not_asked_for():
    assert credits([Span(0, 2, "脉象")], [Span(0, 2, "脉象", "有")])["strict"] == 1
    assert credits([Span(0, 2, "症状", "有")], [Span(0, 2, "症状")])["strict"] == 0


def test_one_prediction_is_counted_for_one_gold_mention_only():
    assert credits([Span(0, 2, "症状"), Span(3, 5, "症状")], [Span(0, 5, "症状")])["type"] == 1
    assert credits([Span(0, 5, "症状")], [Span(0, 2, "症状"), Span(3, 5, "症状")])["partial"] == .5


def test_the_pairing_has_the_greatest_total_where_a_greedy_one_would_not():
    gold = [Span(0, 4, "症状"), Span(3, 8, "症状")]
    pred = [Span(2, 6, "症状"), Span(0, 2, "症状")]  # the first overlaps both; the second only the first gold
    assert credits(gold, pred)["type"] == 2
    assert credits(gold, pred)["partial"] == 1


def test_hedging_with_two_statuses_does_not_pay():
    gold = [Span(0, 2, "症状", "有")]
    assert len(match(gold, [Span(0, 2, "症状", "有"), Span(0, 2, "症状", "无")])["strict"]) == 1


def test_pairs_name_the_spans_by_their_place_in_the_lists():
    gold = [Span(9, 11, "脉象"), Span(0, 2, "症状")]
    pred = [Span(0, 2, "症状"), Span(20, 22, "脉象"), Span(9, 11, "脉象")]
    assert sorted(match(gold, pred)["strict"]) == [Pair(0, 2, 1), Pair(1, 0, 1)]


def test_alignment_pairs_the_likest_spans():
    gold = [Span(0, 4, "症状", "有"), Span(4, 6, "症状", "有")]
    pred = [Span(3, 6, "症状", "有"), Span(0, 4, "舌苔")]
    assert {(pair.gold, pair.pred) for pair in align(gold, pred)} == {(0, 1), (1, 0)}


def test_nothing_on_one_side():
    assert credits([], [Span(0, 2, "症状")]) == dict.fromkeys(SCHEMES, 0)
    assert align([Span(0, 2, "症状")], []) == []


def test_spans_that_only_touch_do_not_overlap_even_where_a_third_one_bridges_them():
    gold, pred = [Span(0, 4, "症状"), Span(3, 5, "舌苔")], [Span(4, 6, "症状")]
    assert credits(gold, pred) == {**dict.fromkeys(SCHEMES, 0), "partial": .5}


def test_alignment_never_gives_up_an_exact_pair_for_two_likely_ones():
    gold = [Span(0, 10, "症状", "有"), Span(8, 10, "症状", "无")]
    pred = [Span(0, 10, "症状", "无"), Span(0, 3, "症状", "有")]
    assert [(pair.gold, pair.pred) for pair in align(gold, pred)] == [(0, 0)]
