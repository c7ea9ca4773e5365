"""What tuning tries next, by hand: the grid, its edges, values of a setting, finer rates, ties and failures."""

import math

import numpy as np
import pytest

from learn2mix.bench.search import Point, Search


def searched(score, places=1, start=0, **options):
    """Search with a score of rate and place; give the rounds as they were asked for, and the search."""
    search = Search(places, start, **options)
    rounds = []
    for points in search.rounds():
        rounds.append([(point.stage, point.decades, point.place) for point in points])
        search.scores.update({point: score(point.decades, point.place) for point in points})
    return rounds, search


def grid(place=0):
    return [("grid", decades, place) for decades in (-1.0, -0.5, 0.0, 0.5, 1.0)]


def test_a_method_without_a_setting_gets_finer_rates():
    rounds, search = searched(lambda decades, place: abs(decades - 0.3))
    # by hand: 0.5 is the best of the grid; 0.25 beats it, and of its neighbours 0.5 is better than 0
    assert rounds == [grid(), [("finer", 0.25, 0), ("finer", 0.75, 0)], [("finer", 0.375, 0)]]
    assert search.best == Point(0.25, 0)
    assert search.at_edge() == (False, False)
    assert search.extensions == 0


def test_a_method_with_a_setting_gets_values_of_it_at_the_best_rate():
    rounds, search = searched(lambda decades, place: abs(decades + 0.5) + abs(place - 3), places=6, start=2)
    # both beside 2; then beyond 3, which did better than 1
    assert rounds == [grid(2), [("setting", -0.5, 1), ("setting", -0.5, 3)], [("setting", -0.5, 4)]]
    assert search.best == Point(-0.5, 3)


def test_the_next_value_is_beyond_the_better_end_even_when_the_one_in_use_is_best():
    rounds, search = searched(lambda decades, place: abs(decades) + {2: 0, 1: 1, 3: 2}.get(place, 3), places=6, start=2)
    assert rounds[1:] == [[("setting", 0.0, 1), ("setting", 0.0, 3)], [("setting", 0.0, 0)]]
    assert search.best == Point(0.0, 2)


def test_later_values_are_tried_one_at_a_time():
    # 4 is worse than 1, though 3 was better than 1: so 0 comes next
    score = {0: 4, 1: 2, 2: 0, 3: 1, 4: 3}
    rounds, _ = searched(lambda decades, place: abs(decades) + score[place], places=5, start=2, trials=9)
    assert [[place for _, _, place in points] for points in rounds[1:]] == [[1, 3], [4], [0]]


def test_too_few_values_leave_trials_to_finer_rates():
    rounds, _ = searched(lambda decades, place: abs(decades) + place, places=2, start=0)
    assert rounds[1:] == [[("setting", 0.0, 1)], [("finer", -0.25, 0), ("finer", 0.25, 0)]]


def test_finer_rates_at_another_value_go_by_the_rates_tried_before():
    rounds, _ = searched(lambda decades, place: abs(decades - 0.1) - place, places=2, start=0, trials=7)
    assert rounds[1:] == [[("setting", 0.0, 1)], [("finer", 0.25, 1)]]  # 0.5 did better than -0.5


@pytest.mark.parametrize("side", [-1, 1])
def test_an_optimum_at_the_edge_extends_the_grid_until_it_is_inside(side):
    rounds, search = searched(lambda decades, place: abs(decades - side * 2.0))
    assert rounds[1:4] == [[("extension", side * e, 0)] for e in (1.5, 2.0, 2.5)]
    assert [stage for points in rounds[4:] for stage, *_ in points] == ["finer"] * 3
    assert search.extensions == 3
    assert len(search.scores) == 8 + 3
    assert search.best == Point(side * 2.0, 0)
    assert search.at_edge() == (False, False)


@pytest.mark.parametrize("cap", [0, 1, 4])
def test_extensions_end_at_the_cap_and_the_edge_is_told(cap):
    rounds, search = searched(lambda decades, place: -decades, extensions=cap)
    assert [p for points in rounds for p in points if p[0] == "extension"] == [
        ("extension", 1.5 + 0.5 * i, 0) for i in range(cap)
    ]
    assert search.extensions == cap
    assert len(search.scores) == 8 + cap
    assert search.at_edge() == (True, False)


@pytest.mark.parametrize(("slope", "places"), [(-1, [3, 4, 5, 6, 7, 8]), (1, [3, 1, 0])])
def test_an_optimum_at_the_end_of_a_setting_goes_on_while_there_are_values(slope, places):
    rounds, search = searched(lambda decades, place: abs(decades) + slope * place, places=9, start=2)
    tried = [p for points in rounds[1:] for p in points]
    assert sorted({place for _, _, place in tried}) == sorted({1, *places})
    assert [stage for stage, *_ in tried] == ["setting"] * 3 + ["extension"] * search.extensions
    assert search.best.place == places[-1]
    assert search.at_edge() == (False, True)
    assert len(search.scores) == 8 + search.extensions


def test_rates_and_setting_share_the_extensions():
    _, search = searched(lambda decades, place: abs(decades - 2) - place, places=20, start=0)
    assert search.extensions == 4
    assert len(search.scores) == 12
    assert sum(point.stage == "extension" and point.place > 0 for point in search.scores) == 1
    assert search.at_edge() == (False, True)


def test_ties_go_to_the_tasks_own():
    _, flat = searched(lambda decades, place: 1.0, places=5, start=2)
    assert flat.best == Point(0.0, 2)
    assert flat.at_edge() == (False, False)
    assert flat.extensions == 0
    _, search = searched(lambda decades, place: 0.0 if decades in (-1.0, 0.5) else 1.0)
    assert search.best == Point(0.5, 0)
    _, search = searched(lambda decades, place: float(decades not in (-0.5, 0.5)))
    assert search.best == Point(-0.5, 0)  # both as near: the lower


def test_failures_count_as_worst_and_lower_rates_are_tried_where_all_fail():
    _, search = searched(lambda decades, place: math.inf if decades > -0.5 else -decades)
    assert search.best == Point(-0.5, 0)
    rounds, search = searched(lambda decades, place: math.inf if decades > -1.5 else 1.0)
    assert rounds[1:4] == [[("extension", -1.5, 0)], *rounds[2:4]]
    assert search.best == Point(-1.5, 0)
    _, search = searched(lambda decades, place: math.inf)
    assert [p.decades for p in search.scores if p.stage == "extension"] == [-1.5, -2.0, -2.5, -3.0]
    assert search.at_edge()[0]
    assert len(search.scores) == 12


@pytest.mark.parametrize("trials", range(5, 17))
@pytest.mark.parametrize("places", [1, 3, 6])
def test_the_number_of_trials_hangs_on_nothing_but_extensions(trials, places):
    generator = np.random.default_rng(trials)
    for _ in range(30):
        _, search = searched(lambda decades, place: float(generator.integers(4)), places, places // 2, trials=trials)
        assert len(search.scores) == trials + search.extensions
        assert search.extensions <= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [({"trials": 4}, "trials is 4"), ({"trials": 17}, "trials is 17"), ({"extensions": -1}, "extensions is -1")],
)
def test_searches_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Search(**options)
