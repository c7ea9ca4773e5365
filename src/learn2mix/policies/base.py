"""What a policy is: a pure rule from group losses to proportions."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from learn2mix.checks import brief
from learn2mix.parameters import Parameters

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """The least that a policy remembers: a dataclass of arrays, numbers and further states.

    Args:
        proportions: alpha, each group's share of a batch, non-negative, summing to 1, float64 of shape (k,).
    """

    proportions: Floats


@runtime_checkable
class Policy(Protocol):
    """Any object with these two methods is a policy."""

    def init(self, prior: Floats) -> Any:
        """Give the first state; ``prior`` (k,) holds the groups' shares of the training set."""
        ...

    def update(self, state: Any, losses: Floats, *, counts: Floats, **signals: Any) -> Any:
        """Give the next state from the group losses (k,) and how many losses each is the mean of (k,)."""
        ...


@dataclasses.dataclass(frozen=True)
class BasePolicy(Parameters):
    """Base of the policies here: parameters, and what a Mixer asks of a policy besides ``init`` and ``update``."""

    adaptive: ClassVar[bool] = True
    """Whether the proportions ever move; where they do not, nothing needs to be observed."""

    signals: ClassVar[frozenset[str]] = frozenset()
    """What ``update`` heeds besides losses and counts, as ``Mixer.step`` may be given it by name."""


@dataclasses.dataclass(frozen=True)
class Combinator(Parameters):
    """Base of the policies that change another one; they adapt and heed what it does.

    Raises:
        TypeError: ``policy`` is none.
    """

    policy: Policy

    def __post_init__(self) -> None:
        check_policy(self.policy, f"{type(self).__name__}'s policy")
        super().__post_init__()

    @property
    def adaptive(self) -> bool:
        """Whether the inner policy is."""
        return getattr(self.policy, "adaptive", True)

    @property
    def signals(self) -> frozenset[str] | None:
        """What the inner policy heeds."""
        return getattr(self.policy, "signals", None)


def check_losses(losses: Any, state: State, name: str = "losses") -> Floats:
    """Return the losses that an update is given as float64, (k,), once checked.

    Raises:
        TypeError: They are no numbers.
        ValueError: Their shape is not that of the proportions, or one is not finite.
    """
    k = len(state.proportions)
    try:
        heard = np.asarray(losses.detach().cpu() if isinstance(losses, torch.Tensor) else losses)
        if heard.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{name} was {brief(losses)} ({type(losses).__name__}); it must be {k} numbers, one mean loss a group, in the "
            "order of mixer.group_names"
        ) from None
    if heard.shape != (k,):
        raise ValueError(
            f"{name} had shape {heard.shape}; there are {k} groups, so it must be ({k},), one mean loss a group"
        )
    if not np.isfinite(heard).all():
        raise ValueError(
            f"{name} was {brief(heard.tolist())}; group losses must be finite; leave non-finite examples out of the mean, "
            "as Mixer.observe does"
        )
    return heard.astype(np.float64)


def check_proportions(proportions: Any, num_groups: int, source: str) -> Floats:
    """Return proportions as float64, after checking what every batch depends on.

    Raises:
        TypeError: They are no array of numbers.
        ValueError: They have the wrong shape, a negative or non-finite entry, or a sum other than 1.
    """
    try:
        checked = np.array(proportions, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{source} gave the proportions {brief(proportions)}; they must be {num_groups} numbers"
        ) from None
    if checked.shape != (num_groups,):
        raise ValueError(
            f"{source} gave proportions of shape {checked.shape}; there are {num_groups} groups, so it must be "
            f"({num_groups},)"
        )
    if not np.isfinite(checked).all() or (checked < 0).any():
        raise ValueError(f"{source} gave the proportions {brief(checked.tolist())}; they must be finite and 0 or more")
    total = math.fsum(checked.tolist())
    if abs(total - 1) > 1e-6:
        raise ValueError(
            f"{source} gave proportions that sum to {total:g}; they must sum to 1; divide them by their sum"
        )
    # Shares worked out in float32 sum to 1 less exactly than the counts of a large batch need.
    return checked / total if abs(total - 1) > 1e-12 else checked


def check_state(state: Any, num_groups: int, source: str) -> Floats:
    """Return the proportions of a policy's state, checked.

    Raises:
        TypeError: It is no dataclass with ``proportions``, or they are no numbers.
        ValueError: As for :func:`check_proportions`.
    """
    if not dataclasses.is_dataclass(state) or isinstance(state, type) or not hasattr(state, "proportions"):
        raise TypeError(
            f"{source} gave the state {brief(state)} ({type(state).__name__}); init and update must return a dataclass "
            "with a field proportions, for instance policies.State(proportions)"
        )
    return check_proportions(state.proportions, num_groups, source)


def check_policy(policy: Any, name: str = "policy") -> Policy:
    """Return the policy, after checking that it can be one.

    Raises:
        TypeError: It lacks ``init`` or ``update``, or is a class rather than an object; or they do not take what they will
            be called with, which would else show after a whole epoch.
    """
    if isinstance(policy, type) or not isinstance(policy, Policy):
        raise TypeError(
            f"{name} was {brief(policy)}; it must be an object with init and update, for instance "
            "policies.Learn2Mix(mixing_rate=0.1)"
        )
    _check_call(policy.init, f"{name}.init", "(prior)", None)
    _check_call(policy.update, f"{name}.update", "(state, losses, counts=counts)", None, None, counts=None)
    return policy


def _check_call(function: Callable[..., Any], name: str, call: str, *args: Any, **kwargs: Any) -> None:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except ValueError:  # some callables have no signature to look at
        return
    except TypeError as error:
        raise TypeError(
            f"{name} takes {inspect.signature(function)}, and is called as {name}{call}: {error}; see learn2mix.policies.base"
        ) from None


def check_signals(policy: Any, given: Mapping[str, Any]) -> None:
    """Check that a policy heeds the signals it is given; one that does not say which it heeds takes any.

    Raises:
        ValueError: It does not heed one of them.
    """
    heeded = getattr(policy, "signals", None)
    if heeded is not None and (unknown := sorted(set(given) - set(heeded))):
        rule = f"heeds {', '.join(sorted(heeded))} alone" if heeded else "heeds none"
        raise ValueError(f"step was given the signal {unknown[0]!r}, and {type(policy).__name__} {rule}; leave it out")


def pack(state: Any) -> dict[str, Any]:
    """Turn a state into tensors, numbers and dicts, which ``torch.load(weights_only=True)`` reads back."""
    return {f.name: _pack_value(getattr(state, f.name)) for f in dataclasses.fields(state)}


def _pack_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return pack(value)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    return value


def unpack(template: Any, packed: Mapping[str, Any]) -> Any:
    """Undo :func:`pack`: fill a state like ``template`` with packed values.

    Raises:
        ValueError: Fields, shapes or types are not those of the template.
    """
    names = {f.name for f in dataclasses.fields(template)}
    if not isinstance(packed, Mapping) or set(packed) != names:
        raise ValueError(
            f"the saved policy state held {brief(list(packed) if isinstance(packed, Mapping) else packed)}; this "
            f"policy's holds {sorted(names)}; load it into a Mixer with the policy it was saved with"
        )
    return dataclasses.replace(
        template, **{name: _unpack_value(name, getattr(template, name), packed[name]) for name in names}
    )


def _unpack_value(name: str, like: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(like) and not isinstance(like, type):
        return unpack(like, value)
    if isinstance(like, np.ndarray):
        array = value.detach().cpu().numpy().copy() if isinstance(value, torch.Tensor) else None
        if array is None or array.shape != like.shape or array.dtype != like.dtype:
            raise ValueError(
                f"the saved policy state's {name} was {brief(value)}; it must be a tensor of shape {like.shape}, "
                f"{like.dtype}; the state is damaged or of another policy"
            )
        return array
    own = _pack_value(like)
    plain = (bool, int, float, str)
    known = plain if own is None else (type(own), int) if isinstance(own, float) else (type(own),)
    if value is not None and type(value) not in known:  # None is for what there is not yet
        raise ValueError(f"the saved policy state's {name} was {brief(value)}; it must be like {like!r}")
    return value
