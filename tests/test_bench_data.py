"""Examples, and data from arrays."""

import pytest
import torch

from learn2mix.bench.data import Data, Examples


def test_examples_are_taken_by_index():
    examples = Examples(torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1]))
    taken = examples.take(torch.tensor([2, 0]))
    assert taken.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert taken.y.tolist() == taken.groups.tolist() == [1, 0]
    assert [len(chunk) for chunk in examples.chunks(2)] == [2, 1]
    assert examples.to("cpu").x.data_ptr() == examples.x.data_ptr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Examples(torch.zeros(2, 1), torch.zeros(3), torch.zeros(2)), "2, 3 and 2 rows"),
        (lambda: Data.from_arrays([[0.0]], [0], [[0.0]]), "only one of test_x and test_y"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 2]), "no training example is of group 1;"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 1], [[0.0]], [0]), "no test example is of group 1;"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [0, 1], group_names="a"), "from 0 to 1, but there are 1 names"),
        (lambda: Data.from_arrays([[0.0], [1.0]], [-1, 0]), "from -1 to 0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_fingerprint_stands_for_content():
    def make(x=((0.0,), (1.0,)), y=(0, 1), **more):
        return Data.from_arrays(x, y, **more).fingerprint

    assert make() == make()
    others = {
        make(x=((0.0,), (2.0,))),
        make(y=(1, 0)),
        make(group_names=("a", "b")),
        make(test_x=[[0], [1]], test_y=[0, 1]),
    }
    assert len(others | {make()}) == 5
