"""Get at what goes into or comes out of a layer of any network, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from learn2mix.checks import brief, module

SIDES = ("input", "output")


def find_layer(network: nn.Module, layer: nn.Module | str | None = None) -> nn.Module:
    """Find the layer that is meant.

    Args:
        network: A network, or a part of one.
        layer: A module of ``network``, or its dotted name there; None for the last ``nn.Linear`` in the order in which
            the modules were registered, in a classifier usually the one that makes the logits.

    Raises:
        TypeError: ``network`` is no module, or ``layer`` neither a module nor a name.
        ValueError: ``network`` has no such module.

    Example:
        >>> find_layer(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
        Linear(in_features=8, out_features=3, bias=True)
    """
    if layer is not None and not isinstance(layer, nn.Module | str):
        raise TypeError(
            f"layer was {brief(layer)} ({type(layer).__name__}); it must be a module of the network or its name, such as "
            "'head.0'"
        )
    modules: dict[str, nn.Module] = dict(module("network", network).named_modules())
    if isinstance(layer, str):
        if layer not in modules:
            raise ValueError(f"layer was {layer!r}; the network has: {brief([name for name in modules if name], 300)}")
        return modules[layer]
    if layer is not None:
        if all(other is not layer for other in modules.values()):
            raise ValueError(f"layer was {brief(layer)}; it must be a module of the network that was given with it")
        return layer
    linear = [other for other in modules.values() if isinstance(other, nn.Linear)]
    if not linear:
        raise ValueError("the network has no nn.Linear, whose input is the default; name a layer and a side of it")
    return linear[-1]


@contextmanager
def tapped(layer: nn.Module, side: str, tap: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Send what goes into or comes out of a layer through ``tap`` inside the block.

    Args:
        layer: The layer.
        side: ``"input"``, its first positional argument; or ``"output"``.
        tap: Called with the tensor, (n, ...), at every forward pass; what it returns takes the tensor's place, None
            leaves it there.

    Raises:
        TypeError: What the layer takes or gives is no tensor.
        ValueError: The block ended, and the layer was never called.

    Example:
        >>> import torch
        >>> layer = nn.Linear(2, 1)
        >>> with tapped(layer, "output", lambda features: torch.full_like(features, 5)):
        ...     layer(torch.ones(1, 2)).item()
        5.0
    """
    calls = 0

    def pass_on(value: Any) -> Tensor | None:
        nonlocal calls
        calls += 1
        if not isinstance(value, Tensor):
            raise TypeError(
                f"the {side} of {type(layer).__name__} was {type(value).__name__}; it must be one tensor (of inputs the "
                "first positional argument); choose another layer or side"
            )
        return tap(value)

    def on_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        changed = pass_on(args[0] if args else None)
        return None if changed is None else (changed, *args[1:])

    def on_output(module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        return pass_on(output)

    before, after = layer.register_forward_pre_hook, layer.register_forward_hook
    handle = before(on_input) if side == "input" else after(on_output)
    try:
        yield
    finally:
        handle.remove()
    if not calls:
        raise ValueError(
            f"the layer {brief(layer)} was not called inside the block; call the network there, not a copy of it and not "
            "one compiled before"
        )


def check_side(side: str) -> str:
    """Return ``side``.

    Raises:
        ValueError: It is neither ``"input"`` nor ``"output"``.
    """
    if side not in SIDES:
        raise ValueError(f"side was {side!r}; it must be 'input' or 'output', of the layer")
    return side
