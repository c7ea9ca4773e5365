"""The library's losses as methods: each that takes the sizes of the classes, on classical batches, under its own name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch

import learn2mix.losses  # noqa: F401  (registers them)
from learn2mix import registry
from learn2mix.bench.methods.base import Job, Method, Shares, add
from learn2mix.bench.tasks.base import Kind
from learn2mix.bench.training import Arm, Role

_OF_EVERY_LOSS = ("ignore_index", "reduction")


@dataclass(frozen=True)
class OfLoss(Method):
    """Train on a loss of the training set's class sizes, and evaluate on the plain logits.

    Attributes:
        function: The loss, with the class sizes as ``counts``.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})
    changes: ClassVar[frozenset[Role]] = frozenset({"loss"})
    classes: ClassVar[Shares] = "corrected"
    function: ClassVar[Any]

    def __post_init__(self) -> None:
        # the loss knows what its settings may be
        type(self).function(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), [1, 1], **self.given())

    def prepare(self, job: Job) -> Arm:
        """Take the class sizes."""
        counts = job.class_sizes().to(job.device)
        return Arm(loss=partial(type(self).function, counts=counts, reduction="none", **self.given()))

    def __reduce__(self) -> tuple[Any, ...]:
        # a class that was made here has no place in a module where a worker process would find it
        return _made_again, (self.name, self.given())


def _made_again(name: str, settings: dict[str, Any]) -> Method:
    made: Method = registry.get("method", name).part(**settings)
    return made


def method_of(entry: registry.Entry) -> type[OfLoss]:
    """Make the class of methods that train on a registered loss; the loss's own keyword arguments are its settings.

    >>> made = method_of(registry.get("loss", "logit-adjusted"))
    >>> made(strength=0.5).given(), made.search["strength"]
    ({'strength': 0.5}, (0.0, 0.5, 1.0, 1.5, 2.0))
    """
    settings = [
        (name, type(found.default), found.default)
        for name, found in inspect.signature(entry.part).parameters.items()
        if found.kind is found.KEYWORD_ONLY and name not in _OF_EVERY_LOSS
    ]
    what_it_is: Mapping[str, Any] = {
        "__doc__": inspect.getdoc(entry.part),
        "name": entry.name,
        "summary": entry.summary,
        "reference": entry.reference,
        "search": entry.search_space,
        "function": staticmethod(entry.part),
    }
    name = entry.name.title().replace("-", "")
    return dataclasses.make_dataclass(name, settings, bases=(OfLoss,), namespace={**what_it_is}, frozen=True)


def add_losses() -> None:
    """Register a method for every loss that takes class sizes, but for those that have a method by their name already.

    Those need more than a loss, such as another last layer, and have a file of their own.
    """
    known = {entry.name for entry in registry.entries("method")}
    for entry in registry.entries("loss"):
        if "counts" in inspect.signature(entry.part).parameters and entry.name not in known:
            add(method_of(entry))
