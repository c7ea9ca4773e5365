"""The form of a Mixer's saved state, and what is checked before one is taken up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learn2mix.checks import brief

VERSION = 1

_KEYS = {"version", "setup", "replica", "epoch", "consumed", "reports", "stream", "policy", "sums", "known", "unused"}
_FIXES = {
    "groups": "load it with the labels it was saved with, in the same order",
    "policy": "make the Mixer with the policy it was saved with",
    "selector": "make the Mixer with the selector it was saved with",
}


@dataclass(frozen=True, eq=False)
class Saved:
    """A state that has been checked; the fields are those of :func:`save`."""

    epoch: int
    consumed: int
    reports: bool
    stream: Mapping[str, Any]
    policy: Mapping[str, Any]
    sums: NDArray[np.float64]
    known: NDArray[np.float64]
    unused: int
    selection: Mapping[str, NDArray[Any]] | None


def save(
    *,
    setup: Mapping[str, Any],
    replica: tuple[int, int] | None,
    position: tuple[int, int, bool],
    stream: Mapping[str, Any],
    policy: Mapping[str, Any],
    feedback: tuple[NDArray[np.float64], NDArray[np.float64], int],
    scores: Mapping[str, torch.Tensor] | None,
) -> dict[str, Any]:
    """Put a state together out of tensors, numbers, strings, lists and dicts.

    Args:
        setup: What the Mixer was made with.
        replica: Rank and count, or None where the sums are those of all replicas.
        position: Epoch, whole batches consumed of it, and whether the epoch before was observed.
        stream: ``Stream.state()``.
        policy: The packed policy state.
        feedback: Sums of the epoch so far (3, k + 1), last known group losses (k,), batches since the last update.
        scores: ``Scores.state()`` of a Mixer with a selector, else None, and the state is as if there were no selectors.
    """
    epoch, consumed, reports = position
    sums, known, unused = feedback
    visited = {"visited": torch.from_numpy(stream["visited"])}
    return {
        "version": VERSION,
        "setup": dict(setup),
        "replica": None if replica is None else list(replica),
        "epoch": epoch,
        "consumed": consumed,
        "reports": reports,
        "stream": {
            "batches": stream["batches"],
            "owed": torch.from_numpy(stream["owed"]),
            "drawn": torch.from_numpy(stream["drawn"]),
            "dues": [[start, torch.from_numpy(due)] for start, due in stream["dues"]],
        },
        "policy": dict(policy),
        "sums": torch.from_numpy(sums),
        "known": torch.from_numpy(known.copy()),
        "unused": unused,
        **({} if scores is None else {"selection": {**scores, **visited}}),
    }


def load(state: Any, *, setup: Mapping[str, Any], replica: tuple[int, int], batches_per_epoch: int) -> Saved:
    """Check a state against the Mixer that is to take it up.

    Raises:
        TypeError: It is no mapping.
        ValueError: It is damaged, of another version or setup, or another replica's with sums under way.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"the state was {brief(state)} ({type(state).__name__}); it must be what mixer.state_dict() returned"
        )
    if "version" in state and not _same(state["version"], VERSION):
        raise ValueError(
            f"the state has version {state['version']!r}; this release reads version {VERSION}; load it with the release "
            "that saved it"
        )
    keys = set(state) - {"selection"}
    if keys != _KEYS:
        missing, extra = sorted(_KEYS - keys), sorted(map(str, keys - _KEYS))
        raise ValueError(
            f"the state lacks {missing} and has {extra} besides; it must be what mixer.state_dict() returned, whole; is it "
            "the model's or the optimiser's?"
        )
    _check_setup(state["setup"], setup)
    try:
        saved = _read(state, num_groups=setup["num_groups"], num_examples=setup["num_examples"])
        _check_position(saved, batch_size=setup["batch_size"], batches_per_epoch=batches_per_epoch)
        if ("selector" in setup) != (saved.selection is not None):
            raise _DamageError("what the selector goes by is missing, or there is no selector")
        if saved.selection is not None:
            _check_selection(saved.selection, saved, batch_size=setup["batch_size"])
    except (KeyError, TypeError, AttributeError, IndexError, _DamageError) as error:
        raise ValueError(
            f"the state is damaged ({type(error).__name__.lstrip('_')}: {error}); load an earlier checkpoint"
        ) from None
    return _share(saved, state["replica"], replica)


class _DamageError(Exception):
    """A value that no Mixer can have saved."""


def _same(saved: Any, here: Any) -> bool:
    return type(saved) is type(here) and bool(saved == here)


def _check_setup(saved: Any, setup: Mapping[str, Any]) -> None:
    if not isinstance(saved, Mapping):
        raise ValueError(f"the state's setup was {brief(saved)}; the state is damaged; load an earlier checkpoint")
    for key, here in {**setup, "selector": setup.get("selector")}.items():  # without one, a setup does not name it
        if not _same(saved.get(key), here):
            fix = _FIXES.get(key, "make the Mixer with the arguments it was saved with")
            raise ValueError(
                f"the state was saved by a Mixer with {key} {brief(saved.get(key))}, and this one has {brief(here)}; {fix}"
            )


def _read(state: Mapping[str, Any], *, num_groups: int, num_examples: int) -> Saved:
    stream = state["stream"]
    drawn = _array("drawn", stream["drawn"], (num_groups,), np.int64)
    selection = _read_selection(state["selection"], num_groups, num_examples) if "selection" in state else None
    return Saved(
        epoch=_whole("epoch", state["epoch"]),
        consumed=_whole("consumed", state["consumed"]),
        reports=bool(state["reports"]),
        stream={
            "batches": _whole("batches", stream["batches"]),
            "owed": _array("owed", stream["owed"], (num_groups,), np.int64),
            "drawn": drawn,
            "visited": drawn if selection is None else selection["visited"],
            "dues": [(_whole("dues", at), _array("dues", due, (num_groups,), np.int64)) for at, due in stream["dues"]],
        },
        policy=state["policy"],
        sums=_array("sums", state["sums"], (3, num_groups + 1), np.float64),
        known=_array("known", state["known"], (num_groups,), np.float64),
        unused=_whole("unused", state["unused"]),
        selection=selection,
    )


def _read_selection(selection: Mapping[str, Any], num_groups: int, num_examples: int) -> dict[str, NDArray[Any]]:
    heard = (len(selection["places"]),)
    return {
        "scores": _array("scores", selection["scores"], (num_examples,), np.float32),
        "visited": _array("visited", selection["visited"], (num_groups,), np.int64),
        "places": _array("places", selection["places"], heard, np.int64),
        "indices": _array("indices", selection["indices"], heard, np.int64),
        "losses": _array("losses", selection["losses"], heard, np.float32),
    }


def _check_position(saved: Saved, *, batch_size: int, batches_per_epoch: int) -> None:
    if saved.consumed > batches_per_epoch:
        raise _DamageError(f"{saved.consumed} batches were consumed of an epoch of {batches_per_epoch}")
    stream = saved.stream
    if stream["batches"] < saved.consumed or int(stream["drawn"].sum()) != stream["batches"] * batch_size:
        raise _DamageError(
            f"{int(stream['drawn'].sum())} examples were drawn in {stream['batches']} batches of {batch_size}"
        )
    if (stream["drawn"] < 0).any() or int(stream["owed"].sum()) != 0:
        raise _DamageError("the examples drawn do not add up")
    starts = [start for start, _ in stream["dues"]]
    if not starts or starts[0] > stream["batches"] or starts != sorted(set(starts)):
        raise _DamageError(f"examples are due from batches {starts} on, at batch {stream['batches']}")
    if any(int(due.sum()) != batch_size << 32 or (due < 0).any() for _, due in stream["dues"]):
        raise _DamageError("the examples due do not add up to a batch")
    if np.isnan(saved.sums).any() or not (np.isfinite(saved.sums[1:]) & (saved.sums[1:] >= 0)).all():
        raise _DamageError("the sums of losses and their counts are no sums")


def _check_selection(selection: Mapping[str, NDArray[Any]], saved: Saved, *, batch_size: int) -> None:
    places = selection["places"]
    if (np.diff(places) <= 0).any() or (places < 0).any() or (places >= saved.consumed * batch_size).any():
        raise _DamageError("the places of the losses heard are not in order, or not within the epoch so far")
    indices = selection["indices"]
    if (indices < 0).any() or (indices >= len(selection["scores"])).any():
        raise _DamageError("an index of the losses heard lies outside the data set")
    if np.isinf(selection["scores"]).any() or not np.isfinite(selection["losses"]).all():
        raise _DamageError("the scores or the losses heard are not finite")
    if (selection["visited"] < saved.stream["drawn"]).any():
        raise _DamageError("more examples were drawn than visited")


def _share(saved: Saved, of: Any, replica: tuple[int, int]) -> Saved:
    """Give this replica its part of the sums, and of the losses heard of single examples."""
    if of is not None and not (isinstance(of, (list, tuple)) and len(of) == 2):
        raise ValueError(f"the state's replica was {brief(of)}; the state is damaged; load an earlier checkpoint")
    heard = saved.selection is not None and len(saved.selection["places"]) > 0
    if of is not None and list(of) != list(replica):
        if saved.sums.any() or heard:
            raise ValueError(
                f"the state is that of replica {of[0]} of {of[1]}, with the losses of its part of an epoch under way, and "
                f"this is replica {replica[0]} of {replica[1]}; save with gather_state_dict() on all replicas, or right "
                "after step()"
            )
        return saved
    if of is None and replica[0] != 0:
        nothing = {key: np.empty(0, dtype=np.int64) for key in ("places", "indices", "losses")}
        selection = saved.selection and {**saved.selection, **nothing}
        return replace(saved, sums=np.zeros_like(saved.sums), selection=selection)
    return saved


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _DamageError(f"{name} was {brief(value)}")
    return value


def _array(name: str, value: Any, shape: tuple[int, ...], dtype: type[Any]) -> NDArray[Any]:
    array: NDArray[Any] = value.detach().cpu().numpy()
    if array.shape != shape or array.dtype != dtype:
        raise _DamageError(f"{name} had shape {array.shape} and type {array.dtype}")
    return array.copy()
