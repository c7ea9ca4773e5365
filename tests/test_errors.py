"""Bad input: each row differs from a call that works in one thing, and each message says what was given, the rule, a fix."""

import copy
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from harness import Indices, Script, Training, small_mixer
from learn2mix import Mixer, policies, registry
from learn2mix.losses import CosineLinear, FocalLoss, focal_loss, inverse_frequency_weights, with_cosine_classifier
from learn2mix.posthoc import LogitAdjusted, head_of, train_head_alone

RATE = policies.Learn2Mix(mixing_rate=0.5)
HUGE = 2**70


class NoProportions(Script):
    def init(self, prior):
        return prior


def refuse(call, good, bad, error, parts):
    """Make the working call, then the bad one, and look for the three parts of its message in their order."""
    changed = [key for key in {**good, **bad} if key not in good or good[key] is not bad.get(key, good[key])]
    assert len(changed) == 1, "a row changes one thing"
    call(**good)
    with pytest.raises(error) as caught:
        call(**{**good, **bad})
    assert type(caught.value) in (ValueError, TypeError)
    assert len(parts) == 3
    assert re.search(".*".join(parts), str(caught.value), re.DOTALL), str(caught.value)


# --- Making things ----------------------------------------------------------------------------------------------------

MAKE_MIXER = {"groups": [0, 0, 1, 1, 1, 2], "batch_size": 3, "policy": RATE, "seed": 0}
THIRDS = [1 / 3] * 3

MIXER_ROWS = [
    ({"groups": [0] * 6}, ValueError, (r"groups held \[0\] alone", "at least two groups", "pass the column")),
    ({"groups": []}, ValueError, ("groups was empty", "one group for each example", "training set")),
    ({"groups": 3}, TypeError, (r"groups was 3 \(int\)", "one group an example", "list of integers or strings")),
    ({"groups": "abcdef"}, TypeError, (r"groups was 'abcdef' \(str\)", "one group an example", "list of")),
    ({"groups": {"a": 5, "b": 1}}, TypeError, (r"groups was {'a': 5.* \(dict\)", "one group", "Mixer.from_sizes")),
    ({"groups": torch.eye(3)[[0, 0, 1, 1, 1, 2]]}, ValueError, (r"shape \(6, 3\)", r"\(N,\)", r"argmax\(1\)")),
    (
        {"groups": [[0], [0, 1]]},
        ValueError,
        (r"groups was \[\[0\], \[0, 1\]\]", "must be flat", "one group an example"),
    ),
    ({"groups": [0.5, 0, 1, 1, 1, 2]}, TypeError, ("dtype float64", "integers or strings", "convert .* cut")),
    ({"groups": ["a", None, "b", "b", "b", "b"]}, TypeError, ("mixed NoneType and str", "all strings", "missing")),
    ({"groups": [0, "a", 1, 1, 1, 2]}, (TypeError), ("groups mixed int and str|dtype <U", "all", "")),
    ({"groups": [0, HUGE, 1, 1, 1, 2]}, ValueError, (f"groups held {HUGE}", r"2\*\*63 - 1", "renumber")),
    ({"batch_size": 0}, ValueError, ("batch_size was 0", "must be 1 or more", "")),
    ({"batch_size": 7}, ValueError, ("batch_size was 7 for 6 examples", "N // batch_size batches", "at most 6")),
    ({"batch_size": 2.5}, TypeError, (r"batch_size was 2.5 \(float\)", "integer of 1 or more", "")),
    ({"batch_size": True}, TypeError, ("batch_size was True", "must be an integer", "")),
    ({"policy": 0.1}, TypeError, ("policy was 0.1", "object with init and update", "Learn2Mix")),
    ({"policy": policies.Learn2Mix}, TypeError, ("policy was <class", "object with init and update", "Learn2Mix")),
    ({"policy": Script([0.5, 0.5])}, ValueError, ("Script gave proportions of shape", "there are 3 groups", r"\(3,\)")),
    ({"policy": Script([0.5, 0.6, 0.1])}, ValueError, ("that sum to 1.2", "must sum to 1", "divide them by their sum")),
    ({"policy": Script([1.5, -0.5, 0.0])}, ValueError, ("Script gave", r"-0.5", "finite and 0 or more")),
    ({"policy": Script([np.nan, 0.5, 0.5])}, ValueError, ("Script gave", "nan", "finite and 0 or more")),
    ({"policy": NoProportions(THIRDS)}, TypeError, ("NoProportions gave the state", "a dataclass", "State")),
    ({"policy": policies.Static([0.5, 0.5])}, ValueError, ("Static's mix gave", "there are 3 groups", r"\(3,\)")),
    ({"policy": policies.floor(RATE, minimum=0.4)}, ValueError, ("minimum was 0.4 for 3", "at most 1 / 3", "sum to")),
    ({"seed": -1}, ValueError, ("seed was -1", "0 or more", "")),
    ({"seed": None}, TypeError, ("seed was None", "an integer", "")),
    ({"num_replicas": 2}, ValueError, ("num_replicas was 2 and rank None", "give both", "or neither")),
    ({"rank": 0}, ValueError, ("num_replicas was None and rank 0", "give both", "or neither")),
    ({"process_group": object()}, ValueError, ("process_group was given", "initialised", "init_process_group")),
    ({"update_every": 0}, ValueError, ("update_every was 0", "1 or more", "")),
    ({"look_ahead": 2}, ValueError, ("look_ahead was 2 without update_every", "need none", "leave it out")),
]
REPLICA_ROWS = [
    ({"num_replicas": 2}, ValueError, ("batch_size was 3 for 2 replicas", "size over all", "must divide")),
    ({"rank": 3}, ValueError, ("rank was 3 of 3 replicas", "from 0 to 2", "")),
    ({"rank": -1}, ValueError, ("rank was -1", "0 or more", "")),
    ({"update_every": 2}, ValueError, ("update_every was 2 for 3 replicas", "summed over", "init_process_group")),
]
SIZES_ROWS = [
    ({"sizes": [5, 1]}, TypeError, (r"sizes was \[5, 1\] \(list\)", "must map", "wiki")),
    ({"sizes": {"a": 5, "b": 0}}, ValueError, ("size of group 'b' was 0", "1 or more", "leave an empty group out")),
    ({"sizes": {"a": 5, "b": 1.5}}, TypeError, ("size of group 'b' was 1.5", "an integer", "leave")),
    ({"sizes": {"a": 5, 3: 1}}, TypeError, (r"group names \['a', 3\]", "all strings or all integers", "")),
    ({"sizes": {"a": 5, "b": HUGE}}, ValueError, (f"{HUGE + 5} examples", r"at most 2\*\*62", "tokens")),
    ({"sizes": {HUGE: 5, 3: 1}}, ValueError, (f"groups held {HUGE}", r"2\*\*63", "renumber")),
]


@pytest.mark.parametrize(
    ("bad", "error", "parts"), MIXER_ROWS, ids=lambda x: str(x)[:40] if isinstance(x, dict) else ""
)
def test_mixer(bad, error, parts):
    refuse(Mixer, MAKE_MIXER, bad, error, parts)


@pytest.mark.parametrize(("bad", "error", "parts"), REPLICA_ROWS)
def test_mixer_of_a_replica(bad, error, parts):
    refuse(Mixer, {**MAKE_MIXER, "num_replicas": 3, "rank": 0}, bad, error, parts)


@pytest.mark.parametrize(("bad", "error", "parts"), SIZES_ROWS)
def test_from_sizes(bad, error, parts):
    refuse(Mixer.from_sizes, {"sizes": {"a": 5, "b": 1}, "batch_size": 3, "policy": RATE}, bad, error, parts)


@pytest.mark.parametrize(
    ("good", "bad", "error", "parts"),
    [
        ({}, {"mix": "even"}, ValueError, ("mix was 'even'", "one of 'natural'", "or the proportions themselves")),
        ({}, {"mix": 3}, TypeError, ("mix was 3", "a name such as", "or a sequence of numbers")),
        ({}, {"mix": ["a", "b"]}, TypeError, ("mix was", "a name such as", "sequence of numbers")),
        ({}, {"temperature": 0}, ValueError, ("temperature was 0", "above 0", "1 is natural")),
        ({}, {"temperature": "warm"}, TypeError, ("temperature was 'warm'", "a number", "1 is natural")),
        ({"mix": "balanced"}, {"temperature": 2}, ValueError, ("both mix 'balanced' and temperature 2", "one", "")),
    ],
)
def test_static(good, bad, error, parts):
    refuse(policies.Static, good, bad, error, parts)


LOGITS = {"logits": torch.zeros(2, 3), "targets": torch.tensor([0, 1]), "weight": torch.ones(3)}


@pytest.mark.parametrize(
    ("bad", "error", "parts"),
    [
        ({"focusing": -1}, ValueError, ("focusing was -1", "at least 0", "2 is usual")),
        ({"focusing": "2"}, TypeError, ("focusing was '2'", "a number", "2 is usual")),
        ({"reduction": "avg"}, ValueError, ("reduction was 'avg'", "must be one of", "'mean', 'sum', 'none'")),
        ({"weight": torch.ones(2)}, ValueError, (r"shape \(2,\) for logits of shape \(2, 3\)", r"\(3,\)", "a class")),
        ({"targets": torch.full((2, 3), 1 / 3)}, TypeError, ("dtype torch.float32", "class ids", "argmax")),
    ],
)
def test_focal_loss(bad, error, parts):
    refuse(focal_loss, LOGITS, bad, error, parts)


def test_focal_module():
    good = {"logits": LOGITS["logits"], "targets": LOGITS["targets"], "reduction": "sum"}
    call = lambda reduction, **batch: FocalLoss(reduction=reduction)(**batch)  # noqa: E731
    refuse(call, good, {"reduction": "avg"}, ValueError, ("reduction was 'avg'", "must be one of", "'mean'"))


@pytest.mark.parametrize(
    ("counts", "fix"),
    [
        ([3, 0], "merge or drop"),
        ([3, -1], "count the examples: torch.bincount"),
        ([np.nan, 1], "count the examples: torch.bincount"),
        ([], "one number a class"),
        ([[1, 2]], "one number a class"),
    ],
)
def test_inverse_frequency_weights(counts, fix):
    parts = ("counts was", "number of training examples of each class", fix)
    refuse(inverse_frequency_weights, {"counts": [3, 1]}, {"counts": counts}, ValueError, parts)


def test_registry():
    parts = ("no policy is called 'learn'", "there are:", "learn2mix")
    refuse(registry.get, {"family": "policy", "name": "static"}, {"name": "learn"}, ValueError, parts)


# --- Mid-run: the error is raised, and training goes on with nothing lost ------------------------------------------------


@dataclass
class Run:
    """A Mixer in the middle of an epoch: two batches of three drawn, one observed."""

    mixer: Mixer
    drawn: list

    @classmethod
    def start(cls, **options):
        mixer = small_mixer((7, 2, 4), 3, policy=RATE, **options)
        batches = iter(mixer.batch_sampler)
        drawn = [next(batches), next(batches)]
        mixer.observe(torch.tensor([1.0, 2.0, 3.0]), mixer.groups_of(drawn[0]))
        return cls(mixer, drawn)

    def rest(self):
        return Training().run(self.mixer), self.mixer.history[-1].counts.tolist()


def refuse_in_a_run(call, good, bad, error, parts, **options):
    """``call`` takes a Run first. The working call is made on a Run of its own; the spoilt Run must then go on as new."""
    refuse(lambda spoil, **given: call(Run.start(**options), **given), {"spoil": 0, **good}, bad, error, parts)
    spoilt = Run.start(**options)
    with pytest.raises(error):
        call(spoilt, **{**good, **bad})
    assert spoilt.rest() == Run.start(**options).rest()


ONES = torch.ones(3)
OBSERVE_ROWS = [
    (
        {"losses": torch.tensor(1.0)},
        ValueError,
        ("losses was a single number", "one loss an example", "reduction='none'"),
    ),
    ({"losses": torch.ones(3).long()}, TypeError, ("dtype torch.int64", "floating point", "one loss an example")),
    ({"losses": torch.ones(3).cfloat()}, TypeError, ("dtype torch.complex64", "floating point", "one loss")),
    ({"losses": "high"}, TypeError, (r"losses was 'high' \(str\)", "tensor of floats", "one loss an example")),
    ({"losses": None}, TypeError, ("losses was None", "tensor of floats", "one loss an example")),
    ({"losses": torch.ones(2)}, ValueError, (r"shape \(3,\) and losses \(2,\)", r"must be \(2,\)", "one for each")),
    ({"groups": [0, 1]}, ValueError, (r"groups had shape \(2,\) and losses \(3,\)", r"must be \(3,\)", "one for each")),
    ({"groups": [[0, 1, 2]]}, ValueError, (r"groups had shape \(1, 3\)", r"must be \(3,\)", "one for each example")),
    ({"groups": [0, 1, 3]}, ValueError, ("group 3 was observed", r"Mixer was given \[0, 1, 2\]", "not positions")),
    ({"groups": [0.0, 1.0, 2.0]}, TypeError, ("dtype torch.float32", "group ids are integers", r"groups.long\(\)")),
    (
        {"groups": ["a", "b", "b"]},
        TypeError,
        (r"groups was \['a', 'b', 'b'\]", "given integer groups", "one an example"),
    ),
    ({"groups": None}, TypeError, ("groups was None", "given integer groups", "one an example")),
    ({"groups": [0, 1, HUGE]}, TypeError, (f"groups was .*{HUGE}", "integer groups", "one an example")),
    ({"weights": torch.ones(2)}, ValueError, (r"weights had shape \(2,\) and losses \(3,\)", "must agree", "a token")),
    ({"weights": -ONES}, ValueError, ("weights held a negative", "0 or more", "mask: 0 and 1")),
    ({"weights": ONES * torch.nan}, ValueError, ("non-finite number", "0 or more", "mask")),
    ({"weights": "all"}, TypeError, ("weights was 'all'", "a tensor", "shape of losses")),
]


@pytest.mark.parametrize(
    ("bad", "error", "parts"), OBSERVE_ROWS, ids=lambda x: str(x)[:40] if isinstance(x, dict) else ""
)
def test_observe(bad, error, parts):
    call = lambda run, **given: run.mixer.observe(**given)  # noqa: E731
    refuse_in_a_run(call, {"losses": ONES, "groups": [0, 1, 2], "weights": None}, bad, error, parts)


@pytest.mark.parametrize(
    ("bad", "error", "parts"),
    [
        ({"groups": [0, 1]}, ValueError, ("group 0 was observed", r"Mixer was given \['a', 'b'\]", "not positions")),
        ({"groups": ["a", "c"]}, ValueError, ("group 'c' was observed", "Mixer was given", "pass the values")),
        (
            {"groups": "ab"},
            TypeError,
            (r"groups was 'ab' \(str\)", "given named groups", "a list of names such as 'a'"),
        ),
        ({"groups": torch.tensor([0, 1])}, TypeError, (r"\(Tensor\)", "given named groups", "list of names")),
        ({"groups": ["a"]}, ValueError, (r"groups had shape \(1,\)", r"must be \(2,\)", "one for each")),
    ],
)
def test_observe_of_named_groups(bad, error, parts):
    def call(**given):
        mixer = Mixer(["a", "b"], 2, policy=RATE)
        next(iter(mixer.batch_sampler))
        mixer.observe(**given)

    refuse(call, {"losses": torch.ones(2), "groups": ["a", "b"]}, bad, error, parts)


COUNT_ROWS = [
    (
        "observe",
        {"number": 4},
        (r"7 examples of epoch 0 were observed, and 6 drawn", "each training batch once", "valid"),
    ),
    ("skip", {"number": 2}, ("9 examples of epoch 0 were observed, and 6 drawn", "each training batch once", "valid")),
    ("skip", {"number": -1}, ("num_batches was -1", "0 or more", "")),
]


@pytest.mark.parametrize("options", [{}, {"update_every": 1, "look_ahead": 1}])
@pytest.mark.parametrize(("method", "bad", "parts"), COUNT_ROWS)
def test_more_than_was_drawn(method, bad, parts, options):
    def call(run, number):
        if method == "observe":
            run.mixer.observe(torch.ones(number), [0] * number)
        else:
            run.mixer.skip(number)

    refuse_in_a_run(call, {"number": 1}, bad, ValueError, parts, **options)


def test_skip_in_the_middle_of_a_batch():
    def call(run, examples):
        run.mixer.observe(torch.ones(examples), [0] * examples)
        run.mixer.skip(0)

    parts = (r"skip\(0\) was called with 2 examples", "of a batch observed", "observe the rest")
    refuse(lambda examples: call(Run.start(), examples), {"examples": 3}, {"examples": 2}, ValueError, parts)


@pytest.mark.parametrize(
    ("bad", "error", "parts"),
    [
        ({"indices": [0, 13]}, ValueError, ("index 13", "13 examples, so indices go from 0 to 12", "another data set")),
        ({"indices": [-1, 12]}, ValueError, ("index -1", "from 0 to 12", "another data set")),
        ({"indices": [0.5]}, TypeError, ("dtype float64", "integers", "")),
        ({"indices": ["a"]}, TypeError, ("dtype <U1", "integers", "")),
        ({"indices": None}, TypeError, ("dtype object", "integers", "")),
        ({"indices": [[0], [1, 2]]}, ValueError, (r"indices was \[\[0\], \[1, 2\]\]", "an array", "of one length")),
    ],
)
def test_groups_of(bad, error, parts):
    call = lambda run, **given: run.mixer.groups_of(**given)  # noqa: E731
    refuse_in_a_run(call, {"indices": [0, 12]}, bad, error, parts)


@pytest.mark.parametrize(
    ("bad", "error", "parts"),
    [
        ({"reduce": None}, ValueError, ("losses of 3 replicas", "without a process group", r"step\(reduce=")),
        ({"reduce": 5}, TypeError, ("reduce was 5", "a function", "sums an array")),
        ({"reduce": lambda sums: sums[0]}, ValueError, (r"shape \(4,\) for sums of shape \(3, 4\)", "add", "element")),
        (
            {"reduce": lambda sums: "done"},
            TypeError,
            ("reduce returned 'done'", "must return the sum", "float64 array"),
        ),
        ({"reduce": lambda sums: None}, ValueError, (r"shape \(\) for sums of shape \(3, 4\)", "add", "element")),
    ],
)
def test_step_of_a_replica(bad, error, parts):
    def run(reduce, then=None):
        mixer = small_mixer((7, 2, 4), 3, policy=RATE, num_replicas=3, rank=1)
        batch = next(iter(mixer.batch_sampler))
        mixer.observe(torch.tensor([2.0]), mixer.groups_of(batch))
        try:
            mixer.step(reduce=reduce)
        finally:
            if then is not None:
                mixer.step(reduce=then)
                then.after = mixer.epoch, mixer.proportions.tolist()

    good = lambda sums: 3 * sums  # noqa: E731
    refuse(run, {"reduce": good}, bad, error, parts)
    with pytest.raises(error):
        run(**bad, then=good)
    kept = good.after
    run(lambda sums: sums, then=None)
    assert kept[0] == 1
    assert kept[1] != small_mixer().proportions.tolist()


@pytest.mark.parametrize(
    ("update", "error", "parts"),
    [
        (None, TypeError, ("Spoilt gave the state None", "must return a dataclass", "State")),
        ([0.5, 0.5, 0.5], ValueError, ("Spoilt gave proportions that sum to 1.5", "sum to 1", "divide")),
        ([np.nan, 1, 0], ValueError, ("Spoilt gave the proportions", "nan", "finite")),
        ([0.5, 0.5], ValueError, (r"Spoilt gave proportions of shape \(2,\)", "there are 3 groups", r"\(3,\)")),
        (["a", "b", "c"], TypeError, ("Spoilt gave the proportions", "must be 3 numbers", "")),
    ],
)
def test_step_with_a_policy_gone_wrong(update, error, parts):
    """The epoch stays open, its losses stay summed, and a policy that is right again goes on from there."""

    class Spoilt(policies.Learn2Mix):
        answer = staticmethod(lambda state: state)

        def update(self, state, losses, *, counts, **signals):
            return self.answer(super().update(state, losses, counts=counts, **signals))

    def train(wrong):
        policy = Spoilt(mixing_rate=0.5)
        mixer = small_mixer((7, 2, 4), 3, policy=policy)
        batch = next(iter(mixer.batch_sampler))
        mixer.observe(torch.tensor([1.0, 2.0, 4.0]), mixer.groups_of(batch))
        if wrong:
            Spoilt.answer = staticmethod(lambda state: update if update is None else policies.State(update))
            with pytest.raises(error, match=".*".join(parts)):
                mixer.step()
            assert mixer.epoch == 0
            Spoilt.answer = staticmethod(lambda state: state)
        mixer.step()
        return mixer.proportions.tolist(), Training().run(mixer)

    assert train(wrong=True) == train(wrong=False)


def test_step_with_negative_losses():
    call = lambda run, loss: (run.mixer.observe(torch.full((3,), loss), [0, 1, 2]), run.mixer.step())  # noqa: E731
    parts = ("losses was", "none may be negative", "bounded below by 0")
    refuse(lambda loss: call(Run.start(), loss), {"loss": 1.0}, {"loss": -100.0}, ValueError, parts)


# --- States -----------------------------------------------------------------------------------------------------------


def put(*path_and_value):
    """Make a change of a state: the value at a path of keys."""
    *path, value = path_and_value

    def change(state):
        inner = state
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value(inner[path[-1]]) if callable(value) else value

    return change


DAMAGED = "load an earlier checkpoint"
STATE_ROWS = [
    (put("version", 99), ("version 99", "reads version 1", "load it with the release")),
    (put("version", torch.ones(2)), ("version tensor", "reads version 1", "load it with the release")),
    (put("extra", 1), (r"has \['extra'\] besides", "whole", "the model's or the optimiser's")),
    (lambda state: state.pop("stream"), (r"lacks \['stream'\]", "whole", "the model's")),
    (put("setup", None), ("setup was None", "damaged", DAMAGED)),
    (put("setup", "seed", 9), ("with seed 9, and this one has 0", "", "the arguments it was saved with")),
    (put("setup", "batch_size", 4), ("batch_size 4, and this one has 3", "", "the arguments it was saved with")),
    (put("setup", "groups", "f00"), ("groups 'f00'", "this one has", "labels it was saved with")),
    (put("setup", "groups", torch.ones(2)), ("groups tensor", "this one has", "labels it was saved with")),
    (put("setup", "policy", "Static()"), (r"policy 'Static\(\)'", "this one has", "the policy it was saved with")),
    (put("setup", "update_every", 5), ("update_every 5, and this one has None", "", "arguments")),
    (put("epoch", -1), ("damaged", "epoch was -1", DAMAGED)),
    (put("epoch", 1.0), ("damaged", "epoch was 1.0", DAMAGED)),
    (put("consumed", 5), ("damaged", "5 batches were consumed of an epoch of 4", DAMAGED)),
    (put("consumed", 2), ("damaged", "drawn in 1 batches", DAMAGED)),
    (put("stream", None), ("damaged", "", DAMAGED)),
    (put("stream", {}), ("damaged", "KeyError", DAMAGED)),
    (put("stream", "batches", 7), ("damaged", "3 examples were drawn in 7 batches of 3", DAMAGED)),
    (put("stream", "drawn", lambda old: old[:2]), ("damaged", r"drawn had shape \(2,\)", DAMAGED)),
    (put("stream", "drawn", lambda old: old + torch.tensor([5, -5, 0])), ("damaged", "do not add up", DAMAGED)),
    (put("stream", "owed", lambda old: old + 1), ("damaged", "do not add up", DAMAGED)),
    (put("stream", "owed", lambda old: old.double()), ("damaged", "type float64", DAMAGED)),
    (put("stream", "dues", []), ("damaged", "due from batches", DAMAGED)),
    (put("stream", "dues", 0, 0, 50), ("damaged", r"due from batches \[50\] on, at batch 1", DAMAGED)),
    (put("stream", "dues", 0, 1, lambda old: old * 2), ("damaged", "do not add up to a batch", DAMAGED)),
    (put("policy", None), ("policy state held None", r"holds \['proportions'\]", "the policy it was saved with")),
    (put("policy", {1: 2, "a": 3}), (r"held \[1, 'a'\]", r"holds \['proportions'\]", "the policy it was saved")),
    (put("policy", "proportions", 0.5), ("proportions was 0.5", "must be a tensor of shape", "damaged")),
    (put("policy", "proportions", lambda old: old[:2]), ("proportions was tensor", "of shape", "damaged")),
    (put("policy", "proportions", lambda old: old * 2), ("the saved state gave", "sum to 2", "must sum to 1")),
    (put("policy", "proportions", lambda old: -old), ("the saved state gave", "-0", "0 or more")),
    (put("sums", lambda old: old[:, :2]), ("damaged", r"sums had shape \(3, 2\)", DAMAGED)),
    (put("sums", lambda old: old * torch.nan), ("damaged", "are no sums", DAMAGED)),
    (put("sums", lambda old: -old), ("damaged", "are no sums", DAMAGED)),
    (put("known", [1.0, 2.0, 3.0]), ("damaged", "", DAMAGED)),
    (put("unused", True), ("damaged", "unused was True", DAMAGED)),
    (put("replica", 5), ("replica was 5", "damaged", DAMAGED)),
    (put("replica", [1, 2]), ("replica 1 of 2", "this is replica 0 of 1", r"gather_state_dict\(\)")),
]


@pytest.mark.parametrize(("change", "parts"), STATE_ROWS)
def test_load_state_dict(change, parts):
    """A state of another run is refused whole: the Mixer that was to take it up goes on as before."""
    good = Run.start().mixer.state_dict()
    bad = copy.deepcopy(good)
    change(bad)
    call = lambda run, state: run.mixer.load_state_dict(state)  # noqa: E731
    refuse_in_a_run(call, {"state": good}, {"state": bad}, ValueError, parts)


@pytest.mark.parametrize("state", [None, 3, "state.pt", [1], b""])
def test_load_what_is_no_state(state):
    call = lambda run, state: run.mixer.load_state_dict(state)  # noqa: E731
    parts = ("the state was", "must be what", r"mixer.state_dict\(\) returned")
    refuse_in_a_run(call, {"state": Run.start().mixer.state_dict()}, {"state": state}, TypeError, parts)


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        ({"labels": [1, 0, 0, 0, 1, 1]}, ("with groups", "and this one has", "labels it was saved with")),
        ({"batch_size": 2}, ("with batch_size 3, and this one has 2", "make the Mixer", "arguments")),
        ({"seed": 1}, ("with seed 0, and this one has 1", "make the Mixer", "arguments")),
        ({"policy": policies.Learn2Mix(mixing_rate=0.4)}, ("mixing_rate=0.5", "mixing_rate=0.4", "the policy it was")),
        ({"policy": policies.ema(RATE)}, ("policy 'Learn2Mix", "policy it was|this one has", "policy")),
        ({"update_every": 1}, ("with update_every None", "this one has 1", "arguments")),
    ],
)
def test_load_the_state_of_a_mixer_made_otherwise(bad, parts):
    saved = Mixer([0, 0, 0, 1, 1, 1], 3, policy=RATE).state_dict()

    def call(labels, **options):
        Mixer(labels, **options).load_state_dict(saved)

    good = {"labels": [0, 0, 0, 1, 1, 1], "batch_size": 3, "policy": RATE, "seed": 0, "update_every": None}
    refuse(call, good, bad, ValueError, parts)


# --- Samplers and loaders ---------------------------------------------------------------------------------------------


def test_loader_of_another_data_set():
    """An index beyond the data set is the data set's own error, as ever; groups_of names it."""
    mixer = small_mixer()
    with pytest.raises(IndexError):
        next(iter(DataLoader([0, 1], batch_sampler=mixer.batch_sampler)))
    assert Training().run(mixer) == Training().run(small_mixer())


@pytest.mark.parametrize("inside", ["step", "iter"])
def test_loop_over_a_loader_that_is_disturbed_within(inside):
    def loop(disturb):
        mixer = small_mixer()
        for _ in DataLoader(Indices(), batch_sampler=mixer.batch_sampler):
            if disturb == "step":
                mixer.step()
            elif disturb == "iter":
                next(iter(mixer.batch_sampler))

    parts = ("batch 1 of a pass", "after the pass was over", r"call step\(\) after the loop")
    refuse(loop, {"disturb": None}, {"disturb": inside}, ValueError, parts)


def test_updates_within_the_epoch_without_observing():
    def loop(observing):
        mixer = small_mixer(update_every=1)
        for batch in mixer.batch_sampler:
            if observing:
                mixer.observe(torch.ones(3), mixer.groups_of(batch))

    parts = ("batch 1 was asked for with 0 batches observed and look_ahead=0", "needs batch", "num_workers")
    refuse(loop, {"observing": True}, {"observing": False}, ValueError, parts)


def test_gather_without_a_process_group():
    call = lambda replicas: small_mixer(num_replicas=replicas, rank=0).gather_state_dict()  # noqa: E731
    parts = ("3 replicas", "without a process group", "init_process_group")
    refuse(call, {"replicas": 1}, {"replicas": 3}, ValueError, parts)


@pytest.mark.parametrize(
    "call",
    [
        lambda: LogitAdjusted(len, [3, 1]),
        lambda: head_of(None),
        lambda: train_head_alone(nn.Linear(2, 2), None),
        lambda: train_head_alone("model", nn.Linear(2, 2)),
        lambda: with_cosine_classifier(None, 2),
    ],
)
def test_what_is_no_network_is_refused(call):
    with pytest.raises(TypeError, match=r"(model|head|network) was .*; it must be an nn.Module"):
        call()


def test_a_layer_that_is_not_linear_has_no_cosine_classifier():
    with pytest.raises(TypeError, match=r"linear was ReLU\(\) \(ReLU\); it must be an nn.Linear"):
        CosineLinear.from_linear(nn.ReLU())
