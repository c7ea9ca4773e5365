"""Several methods at once, each changing another part of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any, get_args

from torch import nn

from learn2mix.bench.methods.base import Job, Method
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import Arm, Role, StartEpoch
from learn2mix.checks import brief

_ROLES: tuple[str, ...] = get_args(Role)
_SHARED = frozenset({"start_epoch"})
"""What several methods may do side by side."""


@dataclass(frozen=True)
class Composed(Method):
    """Several methods at once, under their names joined by ``+``.

    Settings are named ``method.setting``. What chooses within groups, which mixers take up, and what changes the set
    trained on are prepared first, so that whoever fills the batches or counts the classes knows of it. The feed observes
    the loss that is trained on.

    Args:
        parts: Two or more methods; they are put in the order of what they change.

    Raises:
        TypeError: One is no method.
        ValueError: Two of them change the same thing, one changes nothing, or one says that it clashes with another.

    >>> from learn2mix.bench.methods import Focal, Learn2Mix
    >>> composed = Composed((Focal(focusing=1.0), Learn2Mix()))
    >>> composed.name, sorted(composed.changes), sorted(composed.kinds)
    ('learn2mix+focal', ['feed', 'loss'], ['classification'])
    >>> composed.with_settings(**{"focal.focusing": 3.0}).parts[1]
    Focal(focusing=3.0)
    """

    parts: tuple[Method, ...]

    def __post_init__(self) -> None:
        flat = [part for given in self.parts for part in (given.parts if isinstance(given, Composed) else (given,))]
        _check_made(flat)
        parts = tuple(sorted(flat, key=lambda part: (min(map(_ROLES.index, part.changes), default=-1), part.name)))
        _check(parts)
        values = {
            "parts": parts,
            "name": "+".join(part.name for part in parts),
            "version": sum(part.version for part in parts),  # no version is ever lowered
            "summary": "; ".join(part.summary for part in parts),
            "reference": "; ".join(part.reference for part in parts if part.reference),
            "kinds": frozenset.intersection(*(part.kinds for part in parts)),
            "mixes": any(part.mixes for part in parts),
            "changes": frozenset().union(*(part.changes for part in parts)),
            "search": {f"{part.name}.{key}": found for part in parts for key, found in part.search.items()},
        }
        for name, value in values.items():  # what is a method's class's is an instance's here
            object.__setattr__(self, name, value)

    def refusal(self, task: Task) -> str:
        """Refuse what one of them refuses."""
        return next(filter(None, (part.refusal(task) for part in self.parts)), "")

    def prepare(self, job: Job) -> Arm:
        """Make all of them ready and put together what they change."""
        joined: dict[str, Any] = {}
        starts: list[StartEpoch] = []
        for part in self.parts:
            arm = part.prepare(job)
            joined |= {role: getattr(arm, role) for role in arm.changes}
            if arm.start_epoch is not None:
                starts.append(arm.start_epoch)
            if arm.train is not None:
                job = replace(job, train=arm.train)
            if arm.selector is not None:
                job = replace(job, selector=arm.selector)
        return Arm(**{**joined, "start_epoch": _in_turn(starts)})

    def given(self) -> dict[str, Any]:
        """Return the settings of all as they were given."""
        return {f"{part.name}.{key}": value for part in self.parts for key, value in part.given().items()}

    def settings(self, task: Task) -> dict[str, Any]:
        """Return the settings of all."""
        return {f"{part.name}.{key}": value for part in self.parts for key, value in part.settings(task).items()}

    def with_settings(self, **settings: Any) -> Method:
        """Change settings, each by ``method.setting``, or by its own name in all methods that have it."""
        return Composed(tuple(part.with_settings(**_own(part, settings)) for part in self.parts))

    def cut(self, part: float) -> Method:
        """Cut all of them."""
        return Composed(tuple(method.cut(part) for method in self.parts))

    def rehearsal(self) -> Method:
        """Rehearse all of them."""
        return Composed(tuple(method.rehearsal() for method in self.parts))


def _check_made(parts: Sequence[Any]) -> None:
    for part in parts:
        if not isinstance(part, Method):
            raise TypeError(
                f"{brief(part)} was to be composed; it must be a method made, such as Learn2Mix(); by names find_method puts "
                "methods together: find_method('learn2mix+cdt')"
            )


def _check(parts: Sequence[Method]) -> None:
    names = [part.name for part in parts]
    joined = "+".join(names)
    if len(parts) < 2:
        raise ValueError(f"{joined or 'nothing'} was to be composed; give two methods or more")
    owner: dict[str, str] = {}
    for part in parts:
        if isinstance(part, Tuned):
            raise ValueError(
                f"{joined}: {part.name} has a learning rate of its own; compose first, then tune the whole"
            )
        if not part.changes:
            raise ValueError(
                f"{joined}: {part.name} changes nothing that the others could not do without; leave it out"
            )
        for role in sorted(part.changes - _SHARED):
            if role in owner:
                raise ValueError(
                    f"{joined}: {owner[role]} and {part.name} both {_DOES[role]}; take one of them, or compare them side by "
                    "side: separate methods by commas"
                )
            owner[role] = part.name
    for part, other in permutations(parts, 2):
        for what in (other.name, *sorted(other.changes)):
            if what in part.clashes:
                raise ValueError(f"{joined} makes no sense: {part.clashes[what]}; leave one of them out")
    if "selector" in owner and "feed" in owner and not any(part.mixes for part in parts):
        raise ValueError(
            f"{joined}: {owner['selector']} chooses within a mixer's groups, and {owner['feed']} fills its batches in a way "
            "of its own; compose it with a method that mixes, such as learn2mix"
        )
    if not frozenset.intersection(*(part.kinds for part in parts)):
        fits = "; ".join(f"{part.name} is for {' and '.join(sorted(part.kinds))}" for part in parts)
        raise ValueError(f"{joined} fits no kind of task: {fits}; leave one of them out")
    pairs = next((part.name for part in parts if part.pairs), None)
    weighs = owner.get("selector", owner.get("combine"))
    if pairs and weighs:
        raise ValueError(
            f"{joined} is not offered: {weighs} weights single examples here, and {pairs} trains on pairs of two weights; "
            "leave one of them out, or write the loop yourself: Mixed.loss takes a weight for each side"
        )
    for part, other in combinations(parts, 2):
        twice = part.classes and other.classes
        if twice and part.name not in other.beside and other.name not in part.beside:
            raise ValueError(
                f"{joined} makes no sense: class sizes are {part.classes} by {part.name} and {other.classes} by {other.name}, "
                "so they would count twice; leave one of them out"
            )


_DOES: Mapping[str, str] = {
    "selector": "choose the examples that fill a group's seats",
    "train": "change the set that is trained on",
    "feed": "decide what fills the batches",
    "select": "choose what of a batch is trained on",
    "forward": "change what goes through the network",
    "loss": "set the loss",
    "combine": "weight the losses",
    "wrap": "change the network",
}


def _own(part: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Find what is meant for a part; what names the part goes before what names all."""
    prefix = f"{part.name}."
    return {
        **settings,
        **{key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)},
    }


def _in_turn(starts: Sequence[Callable[[int, nn.Module], None]]) -> StartEpoch | None:
    if not starts:
        return None

    def start(epoch: int, model: nn.Module) -> None:
        for one in starts:
            one(epoch, model)

    return start
