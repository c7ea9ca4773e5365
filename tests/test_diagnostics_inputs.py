"""What the recorder of classes refuses."""

import pytest
import torch
from torch import nn

from learn2mix.diagnostics import ClassRecorder


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (
            TypeError,
            None,
            r"the state was None \(NoneType\); it must be what state_dict\(\) of a recorder of 3 groups gives",
        ),
        (ValueError, {}, r"the state held \[\]"),
        (TypeError, {"sums": 3}, "the state's sums were 3"),
        (TypeError, {"sums": torch.zeros(4, 4, dtype=torch.bool)}, "the state's sums were tensor"),
        (ValueError, {"sums": torch.zeros(4, 3)}, r"the state's sums had shape \(4, 3\), not \(4, 4\)"),
    ],
)
def test_states_that_are_none(error, state, message):
    with pytest.raises(error, match=message):
        ClassRecorder(nn.Linear(2, 3), 3).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(4),), r"labels had dtype torch.float32; they must be integers, \(n,\); pass labels.long"),
        ((torch.zeros(4, dtype=torch.int64), torch.zeros(4)), "groups had dtype torch.float32"),
        (([0, 1],), r"labels was \[0, 1\] \(list\); .* pass a tensor"),
    ],
)
def test_labels_that_are_no_integers(arguments, message):
    with pytest.raises(TypeError, match=message), ClassRecorder(nn.Linear(2, 3), 3)(*arguments):
        pass


@pytest.mark.parametrize(("dtype", "num_groups"), [(torch.uint8, 256), (torch.int8, 128), (torch.int16, 2**15)])
def test_labels_may_be_of_a_type_that_does_not_hold_the_number_of_groups(dtype, num_groups):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    recorder = ClassRecorder(network, num_groups)
    with recorder(torch.tensor([0, num_groups - 1]).to(dtype)):
        network(torch.zeros(2, 2)).sum().backward()
    assert recorder.read().counts.nonzero()[0].tolist() == [0, num_groups - 1]
