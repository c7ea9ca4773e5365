"""Numbers at the public edge that Python would take or choke on."""

import math

import pytest
import torch

from learn2mix.checks import Range, number, tensor


@pytest.mark.parametrize("value", [b"1", bytearray(b"1"), "1", True, None, 1j])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"share was .* it must be a number, at least 0"):
        number("share", value, Range(0))


def test_an_integer_beyond_every_float():
    with pytest.raises(ValueError, match=r"share was too large for a float; it must be a number, at least 0; try 1"):
        number("share", 10**400, Range(0), fix="try 1")


def test_infinity_is_told_that_it_must_be_finite_where_it_may_not_be():
    assert number("share", math.inf, Range(0)) == math.inf
    with pytest.raises(ValueError, match=r"share was inf; it must be a finite number, at least 0$"):
        number("share", math.inf, Range(0, high_open=True))
    with pytest.raises(ValueError, match=r"share was -inf; it must be a number, at least 0$"):
        number("share", -math.inf, Range(0))
    with pytest.raises(ValueError, match=r"share was nan; it must be a number"):
        number("share", math.nan, Range(0, high_open=True))


def test_tensors_alone_pass_as_tensors():
    value = torch.zeros(2)
    assert tensor("x", value, "a batch") is value
    with pytest.raises(
        TypeError, match=r"x was \[0\] \(list\); it must be a batch; pass a tensor: torch.as_tensor\(x\)"
    ):
        tensor("x", [0], "a batch")
