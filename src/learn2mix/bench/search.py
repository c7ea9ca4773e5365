"""Which learning rate and which setting to try next, given how those before did: the same procedure for every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

GRID = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""The learning rates that every method begins with, in decades from the task's own."""

SPACING = 0.5
FEWEST, MOST = len(GRID), 16
"""How many trials a method may have; with more the finest rates would no longer differ in four digits."""


@dataclass(frozen=True)
class Point:
    """What one trial is made with.

    Args:
        decades: The learning rate, in decades from the task's own.
        place: The value of the method's main setting, as a position among its values; 0 where it has none.
        stage: Why it was tried: ``"grid"``, ``"extension"``, ``"setting"`` or ``"finer"``.
    """

    decades: float
    place: int
    stage: str = field(default="", compare=False)


class Search:
    """One method's search. It hears of scores through :attr:`scores`, and knows nothing of methods and runs.

    First the grid of learning rates. An optimum at its edge extends it by one more rate beyond that edge, again and
    again. Then, at the best rate, values of the method's main setting: the two beside the one in use, and one at a time
    the next beyond the better of the two ends; an optimum at an end goes on in the same way as for rates. A method
    without such a setting, or with too few values for its trials, gets finer rates instead: a quarter of a decade to
    both sides of the best, then an eighth, and so on, the side whose neighbour did better first.

    Every method so gets the same number of trials, but for the extensions, of which there are at most ``extensions``.

    Args:
        places: How many values the method's main setting has; 1 where it has none.
        start: The position of the value in use, in [0, places).
        trials: Trials without extensions, in [5, 16].
        extensions: How many trials beyond an edge there may be, at least 0.

    Raises:
        ValueError: ``trials`` or ``extensions`` is out of range.

    >>> search = Search(trials=7)
    >>> for points in search.rounds():
    ...     print([point.decades for point in points])
    ...     search.scores.update({point: abs(point.decades - 0.3) for point in points})
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    [0.25, 0.75]
    >>> search.best.decades, search.at_edge()
    (0.25, (False, False))
    """

    def __init__(self, places: int = 1, start: int = 0, *, trials: int = 8, extensions: int = 4) -> None:
        if not FEWEST <= trials <= MOST:
            raise ValueError(
                f"trials is {trials}; it must be between {FEWEST}, the learning rates that all begin with, and {MOST}"
            )
        if extensions < 0:
            raise ValueError(f"extensions is {extensions}; it must be 0 or more")
        self.scores: dict[Point, float] = {}
        """What each point scored, smaller is better, infinite where a run failed."""
        self.extensions = 0
        """How many trials beyond an edge were asked for."""
        self._places, self._start = places, start
        self._trials, self._most_extensions = trials, extensions

    def rounds(self) -> Iterator[list[Point]]:
        """Go through what to try, in rounds; the scores of a round must be known before the next is asked for."""
        yield [Point(decades, self._start, "grid") for decades in GRID]
        yield from self._extend(self._next_rate)
        yield from self._try_values()
        yield from self._extend(self._next_value)
        yield from self._refine()

    @property
    def best(self) -> Point:
        """The point with the smallest score; of equal ones the nearest to the task's rate, then to the value in use."""
        return min(self.scores, key=self._rank)

    def at_edge(self) -> tuple[bool, bool]:
        """Tell whether the best rate, and the best value of the setting, is the outermost one tried."""
        rates, places = {point.decades for point in self.scores}, {point.place for point in self.scores}
        rate_at_edge = self.best.decades in (min(rates), max(rates))
        return rate_at_edge, len(places) > 1 and self.best.place in (min(places), max(places))

    def _rank(self, point: Point) -> tuple[float, ...]:
        score = self.scores[point]
        # where nothing but failures is there, the lowest rate is the nearest to one that trains
        far = point.decades if math.isinf(score) else abs(point.decades)
        return score, far, abs(point.place - self._start), point.decades, point.place

    @property
    def _left(self) -> int:
        return self._trials + self.extensions - len(self.scores)

    def _extend(self, beyond: Callable[[], Point | None]) -> Iterator[list[Point]]:
        while self.extensions < self._most_extensions:
            point = beyond()
            if point is None:
                return
            self.extensions += 1
            yield [point]

    def _next_rate(self) -> Point | None:
        """Give the next rate beyond the edge that the best one is at, None where it is at none."""
        best, tried = self.best, [point.decades for point in self.scores]
        if best.decades == min(tried):
            return Point(best.decades - SPACING, best.place, "extension")
        if best.decades == max(tried):
            return Point(best.decades + SPACING, best.place, "extension")
        return None

    def _next_value(self) -> Point | None:
        """Give the next value beyond the end that the best one is at, None where it is at none or there is no next."""
        best, tried = self.best, {point.place for point in self.scores}
        if len(tried) > 1:
            for end, place in ((min(tried), best.place - 1), (max(tried), best.place + 1)):
                if best.place == end and 0 <= place < self._places:
                    return Point(best.decades, place, "extension")
        return None

    def _try_values(self) -> Iterator[list[Point]]:
        decades = self.best.decades
        low = high = self._start
        while self._left > 0:
            beside = {low - 1: self.scores[Point(decades, low)], high + 1: self.scores[Point(decades, high)]}
            better = sorted((place for place in beside if 0 <= place < self._places), key=beside.__getitem__)
            if not better:
                return
            if low < high:
                del better[1:]
            chosen = better[: self._left]
            yield [Point(decades, place, "setting") for place in chosen]
            low, high = min(low, *chosen), max(high, *chosen)

    def _refine(self) -> Iterator[list[Point]]:
        step = SPACING / 2
        while self._left > 0:
            best = self.best
            beside = [Point(best.decades + side * step, best.place, "finer") for side in (-1, 1)]
            beside.sort(key=lambda point: (self._score_beyond(point), abs(point.decades)))
            points = [point for point in beside if point not in self.scores][: self._left]
            if points:
                yield points
            step /= 2

    def _score_beyond(self, point: Point) -> float:
        """Return the score of the nearest point tried on the far side of one beside the best, infinite without any."""
        best = self.best
        side = math.copysign(1, point.decades - best.decades)
        away = {
            side * (other.decades - best.decades): score
            for other, score in self.scores.items()
            if side * (other.decades - best.decades) > 0
        }
        return away[min(away)] if away else math.inf
