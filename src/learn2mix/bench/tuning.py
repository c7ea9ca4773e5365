"""Tuning that is the same for every method: as many trials, the same budget, validation data, seeds of its own."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from learn2mix.bench.budget import Budget
from learn2mix.bench.compare import Event, Watch, compare, ignore
from learn2mix.bench.data import Data
from learn2mix.bench.files import write_whole
from learn2mix.bench.lookup import find_method, find_task
from learn2mix.bench.methods.base import Method
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.record import json_text, settings_key
from learn2mix.bench.runner import settings_of
from learn2mix.bench.search import Point, Search
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import Task

SEEDS = (1000, 1001, 1002)
"""The seeds to tune on, far from those that anything is reported on."""


@dataclass(frozen=True)
class Trial:
    """One trial: a learning rate and a setting, on every tuning seed.

    Args:
        learning_rate: The rate.
        settings: The method's main setting by its name, empty where it has none.
        stage: Why it was tried: ``"grid"``, ``"extension"``, ``"setting"`` or ``"finer"``; see :class:`Search`.
        scores: The task's metric on the validation set at the end of the budget, by seed; None where the run failed.
        failures: What became of the runs that failed.
    """

    learning_rate: float
    settings: Mapping[str, float]
    stage: str
    scores: tuple[float | None, ...]
    failures: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The mean score over the seeds, smaller is better; None, which is worse than any, where a run failed.

        In six digits: curves are float32, and with more of them equal numbers of errors would not be ties.
        """
        there = [score for score in self.scores if score is not None]
        return float(f"{statistics.fmean(there):.6g}") if len(there) == len(self.scores) else None


@dataclass(frozen=True)
class Choice:
    """What was chosen for one method, and from what.

    Args:
        method: The method with the chosen learning rate and setting, ready to run on the task as it is.
        score: What the chosen trial scored; None where every trial failed.
        trials: All trials, in the order in which they were made.
        extensions: How many of them went beyond an edge; without them every method has the same number.
        edges: What still lies at the edge of what was tried, ``"learning_rate"`` or the setting's name.
    """

    method: Tuned
    score: float | None
    trials: tuple[Trial, ...]
    extensions: int
    edges: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, :attr:`trials` counted as ``n``."""
        return {
            "method": self.method.name,
            "version": self.method.version,
            "settings": self.method.method.given(),
            "learning_rate": self.method.learning_rate,
            "score": self.score,
            "n": len(self.trials),
            "extensions": self.extensions,
            "edges": list(self.edges),
            "trials": [{**dataclasses.asdict(trial), "score": trial.score} for trial in self.trials],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Choice:
        """Take back what :meth:`to_json` gave.

        Raises:
            ValueError: There is no such method, or it is another version by now.
            KeyError: A value is missing.
            TypeError: A value is of another kind, or the method has no such setting.
        """
        method = find_method(values["method"])
        if unknown := set(values["settings"]) - set(method.given()):
            raise ValueError(f"{method.name} has no setting {min(unknown)!r}; tune it again")
        method = method.with_settings(**values["settings"])
        if method.version != values["version"]:
            raise ValueError(
                f"{method.name} was tuned at version {values['version']} and is at {method.version}; tune it again"
            )
        trials = tuple(
            Trial(t["learning_rate"], t["settings"], t["stage"], tuple(t["scores"]), tuple(t["failures"]))
            for t in values["trials"]
        )
        tuned = Tuned(method, values["learning_rate"])
        return cls(tuned, values["score"], trials, values["extensions"], tuple(values["edges"]))


@dataclass(frozen=True)
class Tuning:
    """What came of tuning several methods on one task.

    Args:
        task: The task's settings.
        data: The fingerprint of its data.
        budget: The budget of a trial, as it stands in a run's settings.
        seeds: The seeds that were tuned on.
        trials: How many trials each method had, without extensions.
        choices: What was chosen, in the order of the methods.
    """

    task: Mapping[str, Any]
    data: str
    budget: Mapping[str, Any]
    seeds: tuple[int, ...]
    trials: int
    choices: tuple[Choice, ...]

    def methods_for(self, task: str | Task, seeds: Iterable[int], data: str) -> list[Tuned]:
        """Return the tuned methods, to be compared on the task on other seeds.

        Their runs belong into a store of their own: those at the task's rate would stand in the same table.

        Args:
            task: The task that they were tuned on, or its name.
            seeds: The seeds to compare them on.
            data: The fingerprint of the data to compare them on.

        Raises:
            ValueError: The task or its data are others or have changed, or a seed is one of those tuned on.
        """
        now = find_task(task).settings()
        changed = sorted(key for key in {**now, **self.task} if now.get(key) != self.task.get(key))
        if changed:
            was, is_now = ({key: settings.get(key) for key in changed} for settings in (self.task, now))
            raise ValueError(f"the methods were tuned on a task with {was}, and it has {is_now}; tune them on this one")
        if data != self.data:
            raise ValueError(f"the methods were tuned on data {self.data}, and these are {data}; tune them on these")
        _require_apart(self.seeds, seeds)
        return [choice.method for choice in self.choices]

    def only(self, names: Collection[str]) -> Tuning:
        """Keep what was chosen for some methods."""
        return dataclasses.replace(self, choices=tuple(c for c in self.choices if c.method.name in names))

    @property
    def words(self) -> str:
        """How the methods were tuned."""
        more = [f"{choice.method.name} {choice.extensions}" for choice in self.choices if choice.extensions]
        edges = [choice.method.name for choice in self.choices if choice.edges]
        seeds = f"{len(self.seeds)} other {'seed' if len(self.seeds) == 1 else 'seeds'}"
        words = (
            f"Tuned on a tenth of the training set, held out, and on {seeds}: {self.trials} trials a method at "
            f"{Budget(**self.budget)}"
        )
        words += f", and where the best lay at an edge more: {', '.join(more)}." if more else "."
        return words + (f" Still at an edge: {', '.join(edges)}." if edges else "")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        own = {name: getattr(self, name) for name in ("data", "trials")}
        return {
            "task": dict(self.task),
            **own,
            "budget": dict(self.budget),
            "seeds": list(self.seeds),
            "evaluate_on": "validation",
            "choices": [choice.to_json() for choice in self.choices],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Tuning:
        """Take back what :meth:`to_json` gave.

        Raises:
            ValueError: A method is not known or is another version by now.
            KeyError: A value is missing.
            TypeError: A value is of another kind.
        """
        choices = tuple(Choice.from_json(choice) for choice in values["choices"])
        seeds = tuple(values["seeds"])
        return cls(values["task"], values["data"], values["budget"], seeds, values["trials"], choices)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, ``tuned.json`` say, whole or not at all.

        Raises:
            ValueError: A method's settings are not JSON values.
        """
        write_whole(Path(path), json_text("tuning", self.to_json(), indent=2).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tuning:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged, or a method is not known or is another version by now.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be used ({error}); delete it and tune again, which reads back what runs there are"
            ) from error


class _Search:
    """The search of one method on one task: points turned into methods, and runs into scores."""

    def __init__(self, method: Method, task: Task, trials: int, extensions: int) -> None:
        if len(method.search) > 1:
            raise ValueError(
                f"{method.name} has {len(method.search)} settings to search; tuning knows one main setting"
            )
        self.method, self._task = method, task
        self.setting, values = next(iter(method.search.items()), ("", (0.0,)))
        in_use = method.settings(task)[self.setting] if self.setting else 0.0
        self._values = sorted({*values, in_use})
        self.points = Search(len(self._values), self._values.index(in_use), trials=trials, extensions=extensions)
        self.rounds = self.points.rounds()
        self.trials: dict[Point, Trial] = {}

    def tuned(self, point: Point) -> Tuned:
        """Make the method that a point stands for."""
        rate = self._task.learning_rate
        if (
            point.decades
        ):  # four digits: a power's last bit may differ between platforms, and a rate is to be written down
            rate = float(f"{rate * 10**point.decades:.4g}")
        return Tuned(self.method.with_settings(**self._own(point)), rate)

    def note(self, point: Point, results: Sequence[float | str]) -> None:
        """Note a point's results by seed: its scores, and what became of runs that failed."""
        told = [f"the metric became {r}" if isinstance(r, float) and not math.isfinite(r) else r for r in results]
        scores = tuple(None if isinstance(result, str) else result for result in told)
        failures = tuple(result for result in told if isinstance(result, str))
        trial = Trial(self.tuned(point).learning_rate, self._own(point), point.stage, scores, failures)
        self.trials[point] = trial
        self.points.scores[point] = math.inf if trial.score is None else trial.score

    def choice(self) -> Choice:
        """Choose."""
        best, names = self.points.best, ("learning_rate", self.setting)
        edges = tuple(name for name, there in zip(names, self.points.at_edge(), strict=True) if there)
        trials = tuple(self.trials.values())
        return Choice(self.tuned(best), self.trials[best].score, trials, self.points.extensions, edges)

    def _own(self, point: Point) -> dict[str, float]:
        return {self.setting: self._values[point.place]} if self.setting else {}


def trial_budget(budget: int | Budget | None, task: Task) -> Budget:
    """Give the budget of a trial, a quarter of the task's where none is given."""
    return Budget.of(budget, max(1, round(task.epochs / 4)))


def tune(
    task: str | Task,
    methods: Sequence[str | Method],
    *,
    store: Store,
    seeds: Sequence[int] = SEEDS,
    reported: Iterable[int] = (),
    trials: int = 8,
    extensions: int = 4,
    budget: int | Budget | None = None,
    data: Data | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    workers: int = 1,
    watch: Watch = ignore,
) -> Tuning:
    """Choose a learning rate, and the main setting where there is one, for every method in the same way.

    Each trial trains with every seed and is scored on a tenth of the training set, held out before the imbalance cut:
    the mean over seeds of the task's metric at the end of the budget. The test set is never looked at; where the data
    have none, a run's own test part is not, but another seed's may hold what was validated on. What is tried is said at
    :class:`Search`. Runs are kept in the store, so that tuning that was killed goes on where it was; only runs that
    failed are made again.

    Args:
        task: The task, or its name.
        methods: Methods, or their names; each once.
        store: Where runs are kept.
        seeds: The seeds to tune on.
        reported: The seeds that results will be reported on, none of which may be tuned on.
        trials: Trials for each method, without extensions, in [5, 16].
        extensions: How many more a method may have where its optimum lies at an edge, at least 0.
        budget: The budget of a trial, a whole number for epochs; None takes a quarter of the task's, at least 1 epoch.
        data: The task's data, where they are at hand.
        data_dir: A folder of local copies of the data.
        device: Where to train; None takes the CPU.
        workers: Processes to train in; see :func:`compare`.
        watch: Told how far things are; the total grows with every extension.

    Returns:
        The choices, with all trials.

    Raises:
        ValueError: A seed is also reported, a method comes twice, does not fit the task or is tuned already, or an
            argument is out of range.

    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    >>> tuning = tune("digits", ["classical"], store=store, seeds=[1000], trials=5, budget=1)
    >>> [choice] = tuning.choices
    >>> len(choice.trials) - choice.extensions
    5
    """
    task, seeds = find_task(task), list(seeds)
    _require_apart(seeds, reported)
    searches = [_Search(find_method(method), task, trials, extensions) for method in methods]
    names = [search.method.name for search in searches]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"the methods are {names}; give at least one, and each once")
    data = data or task.load(data_dir, lambda phase, done, total: watch(Event(0, 0, "", phase, done, total)))
    budget = trial_budget(budget, task)
    while batch := [(search, point) for search in searches for point in next(search.rounds, ())]:
        total = len(seeds) * sum(trials + search.points.extensions for search in searches)
        before = len(seeds) * sum(len(search.trials) for search in searches)
        arms = [search.tuned(point) for search, point in batch]
        done = compare(
            [task],
            arms,
            seeds,
            store=store,
            budget=budget,
            data={task.name: data},
            evaluate_on="validation",
            device=device,
            workers=workers,
            watch=lambda event: watch(dataclasses.replace(event, done=before + event.done, total=total)),  # noqa: B023
        )
        results: dict[str, float | str] = {**done.failures}
        results.update((run.key, float(run.curves["test_metric"][-1])) for run in done.runs)
        for (search, point), arm in zip(batch, arms, strict=True):
            settings = (
                settings_of(task, arm, seed, budget, fingerprint=data.fingerprint, evaluate_on="validation")
                for seed in seeds
            )
            search.note(point, [results[settings_key(own)] for own in settings])
    choices = tuple(search.choice() for search in searches)
    return Tuning(task.settings(), data.fingerprint, budget.settings(), tuple(seeds), trials, choices)


def _require_apart(tuned_on: Iterable[int], reported: Iterable[int]) -> None:
    both = sorted({*tuned_on} & {*reported})
    if both:
        raise ValueError(
            f"seeds {both} are both tuned on and reported; results hold only on seeds that tuning never saw"
        )
