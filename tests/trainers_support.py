"""Runs the code of docs/trainers.md: in this process, or in two that share every batch."""

import contextlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import torchvision_support  # noqa: F401  (before lightning imports torchvision)
from learn2mix import Mixer

PAGE = Path(__file__).parents[1] / "docs" / "trainers.md"


def code(heading):
    """Give the code under a heading of the page, after the pieces that all share."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE))
    wanted = sections["The pieces"] + sections[heading]
    return "\n\n".join(re.findall(r"^```py\n(.*?)^```$", wanted, flags=re.DOTALL | re.MULTILINE))


def example(heading):
    """Run the code under a heading, and give the names it defines."""
    names = {"__name__": "page"}
    exec(compile(code(heading), f"trainers.md, {heading}", "exec"), names)
    return names


class Killed(Exception):
    """Training was broken off."""


@contextlib.contextmanager
def listening(stop_after=None):
    """Write down what reaches any Mixer: groups and losses of each batch, proportions after each step.

    Losses tell examples and weights apart, so that two runs with the same events trained on the same.

    Args:
        stop_after: Break training off in the middle of the batch after so many.
    """
    events = []
    observe, step = Mixer.observe, Mixer.step

    def note_observe(mixer, losses, groups, **options):
        if stop_after is not None and sum(event[1] != "step" for event in events) == stop_after:
            raise Killed
        observe(mixer, losses, groups, **options)
        events.append((mixer.epoch, tuple(groups.tolist()), tuple(losses.detach().tolist())))

    def note_step(mixer, **options):
        step(mixer, **options)
        events.append((mixer.epoch, "step", tuple(mixer.proportions.tolist())))

    Mixer.observe, Mixer.step = note_observe, note_step
    try:
        yield events
    finally:
        Mixer.observe, Mixer.step = observe, step


def plain_run(names, epochs=3, batches=None, accumulate=1):
    """Train in a plain loop, as every trainer should; gives the events and the weights."""
    mixer, model = names["make_mixer"](), names["make_model"]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(names["dataset"], batch_sampler=mixer.batch_sampler)
    with listening() as events:
        for _ in range(epochs):
            for number, (x, y) in enumerate(itertools.islice(loader, batches), 1):
                losses = F.cross_entropy(model(x), y, reduction="none")
                mixer.observe(losses, y)
                (losses.mean() / accumulate).backward()
                if number % accumulate == 0 or number == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()
            mixer.step()
    return events, weights_of(model)


def weights_of(model):
    return next(value.detach().clone() for name, value in model.named_parameters() if name.endswith("weight"))


def kinds(events):
    """Give the events as a short string: a digit for each batch, its epoch, and a bar for each step."""
    return "".join("|" if event[1] == "step" else str(event[0]) for event in events)


def rest_of(events, batches):
    """Give what follows so many batches; the step after the last of an epoch counts as done."""
    seen = 0
    for place, event in enumerate(events):
        if event[1] != "step":
            if seen == batches:
                return events[place:]
            seen += 1
    return []


LAUNCHED = """
import os

import torch
from trainers_support import example, kinds, listening, rest_of, weights_of

names = example({heading!r})
folder = {folder!r}
said = []
{driver}
torch.save(said, f"{{folder}}/said-{{os.environ['RANK']}}.pt")
torch.distributed.barrier()
os._exit(0)  # the process group's threads may abort a process that ends in good order, destroyed or not
"""


def in_two_processes(heading, driver, folder):
    """Run the code under a heading, then ``driver``, in two processes; gives what each appended to ``said``."""
    script = Path(folder) / "driver.py"
    script.write_text(LAUNCHED.format(heading=heading, driver=driver, folder=str(folder)))
    here = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": here, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(f"{folder}/said-{rank}.pt", weights_only=False) for rank in range(2)]


def assert_together(parts, whole):
    """Check that the events of two processes, put together, are those of one."""
    for pieces in zip(*parts, whole, strict=True):
        *mine, (epoch, groups, values) = pieces
        assert {piece[0] for piece in mine} == {epoch}
        if groups == "step":
            assert mine[0] == mine[1]  # bit for bit
            np.testing.assert_allclose(mine[0][2], values, rtol=1e-5)
        else:
            assert {len(piece[1]) for piece in mine} == {len(groups) // 2}
            assert sorted(mine[0][1] + mine[1][1]) == sorted(groups)
            np.testing.assert_allclose(sorted(mine[0][2] + mine[1][2]), sorted(values), rtol=1e-4, atol=1e-6)
