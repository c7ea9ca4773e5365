"""Kill a training process again and again; resumed each time, it ends as one that was never killed, bit for bit.

    python benchmarks/kills.py [kills]

The process trains a small network under a DataLoader with two workers, appends the indices of every batch to a log, and
every few batches saves model, optimiser and Mixer. It is killed with its workers (SIGKILL to the process group) at random
moments: while it starts, trains, saves or steps. The log is cut back to the last checkpoint, from which it then goes on.
So many kills for each setting: proportions that move once an epoch, and within it. Prints a line now and then and ends
with one JSON object; fails where indices, weights, optimiser or Mixer differ from those of a run that was left alone.

This process has loaded torch; the training processes are forked from it, so that a life costs no second start of Python.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch loads: a process with idle threads is not to be forked

import torch
import torch._dynamo  # an optimiser loads it when it is made; here once instead of in each life
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from learn2mix import Mixer, policies

SIZES, BATCH, WORKERS, PREFETCH = (240, 90, 33, 7), 16, 2, 2
PER_EPOCH = sum(SIZES) // BATCH
SAVE_EVERY = 5  # batches and steps: an epoch is 23 batches and a step, so that it falls on each of them in turn
BATCHES_PER_KILL = 10
RECORD = 8 * BATCH  # bytes of the log that a batch takes
SETTINGS = {
    "step": {"mixer": {}, "loader": {}},
    "within the epoch": {
        "mixer": {"update_every": 2, "look_ahead": WORKERS * PREFETCH},
        "loader": {"persistent_workers": True},
    },
}


def train(folder: Path, setting: str, epochs: int) -> None:
    """Train from the last checkpoint, if there is one, to the end."""
    torch.manual_seed(0)
    labels = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    labels = labels[torch.randperm(len(labels))]
    inputs = torch.randn(len(labels), 8) + labels[:, None]
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, len(SIZES)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    mixer = Mixer(labels, BATCH, policy=policies.Learn2Mix(mixing_rate=0.5), seed=3, **SETTINGS[setting]["mixer"])
    loader = DataLoader(
        TensorDataset(inputs, labels, torch.arange(len(labels))),
        batch_sampler=mixer.batch_sampler,
        num_workers=WORKERS,
        prefetch_factor=PREFETCH,
        **SETTINGS[setting]["loader"],
    )
    counts = {"batches": 0, "events": 0}  # of the whole run
    if (folder / "checkpoint.pt").exists():
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)
        for part, state in ((model, "model"), (optimizer, "optimizer"), (mixer, "mixer")):
            part.load_state_dict(saved[state])
        counts = saved["counts"]
    log = os.open(folder / "log", os.O_APPEND | os.O_WRONLY)

    def save(name: str) -> None:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "mixer": mixer.state_dict()}
        torch.save({**state, "counts": counts}, folder / f"{name}.aside")
        os.replace(folder / f"{name}.aside", folder / f"{name}.pt")

    def save_now_and_then() -> None:
        counts["events"] += 1
        if counts["events"] % SAVE_EVERY == 0:
            save("checkpoint")

    for _ in range(mixer.epoch, epochs):
        for x, y, indices in loader:
            losses = F.cross_entropy(model(x), y, reduction="none")
            mixer.observe(losses, y)
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            os.write(log, indices.numpy().tobytes())
            counts["batches"] += 1
            save_now_and_then()
        mixer.step()
        save_now_and_then()
    save("final")


def start(folder: Path, setting: str, epochs: int) -> int:
    """Fork a training process, the first of a process group of its own."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            os.setpgid(0, 0)
            train(folder, setting, epochs)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.setpgid(process, process)
    return process


def has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def exit_code(process: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a training process failed with exit code {code}")
    return code


def batches_logged(folder: Path) -> int:
    return (folder / "log").stat().st_size // RECORD


def cut_back(folder: Path) -> int:
    """Cut the log back to the checkpoint, since what comes after it is trained on again; say how many batches that is."""
    path, logged = folder / "checkpoint.pt", batches_logged(folder)
    saved = torch.load(path, weights_only=True)["counts"]["batches"] if path.exists() else 0
    os.truncate(folder / "log", saved * RECORD)
    return logged - saved


def train_killed(folder: Path, setting: str, epochs: int, kills: int, rng: random.Random) -> dict[str, int]:
    """Train to the end, killed so many times on the way; fewer where a kill comes too late. Counts what was hit."""
    hit = dict.fromkeys(("kills", "before_a_batch", "while_saving", "at_an_epoch's_end", "batches_trained_again"), 0)
    for cut in sorted(rng.choices(range((epochs - 1) * PER_EPOCH), k=kills)):
        began = batches_logged(folder)
        process = start(folder, setting, epochs)
        if rng.random() < 0.8:  # otherwise while it starts, loads and forks its workers
            while batches_logged(folder) < cut and not has_ended(process):
                time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.03))
        os.killpg(process, signal.SIGKILL)
        if exit_code(process) == 0:
            return hit
        logged, aside = batches_logged(folder), folder / "checkpoint.aside"
        hit["kills"] += 1
        hit["before_a_batch"] += logged == began
        hit["at_an_epoch's_end"] += logged > began and logged % PER_EPOCH == 0
        hit["while_saving"] += aside.exists()
        aside.unlink(missing_ok=True)
        hit["batches_trained_again"] += cut_back(folder)
        if hit["kills"] % 50 == 0:
            print(f"{setting}: killed {hit['kills']} times, at batch {logged}", file=sys.stderr, flush=True)
    exit_code(start(folder, setting, epochs))
    return hit


def assert_same(killed: Path, whole: Path) -> None:
    assert (killed / "log").read_bytes() == (whole / "log").read_bytes(), "other indices were trained on"
    ends = [torch.load(folder / "final.pt", weights_only=True) for folder in (killed, whole)]
    for part in ends[1]:
        assert_equal(ends[0][part], ends[1][part], part)


def assert_equal(left: object, right: object, where: str) -> None:
    """Compare nested states bit for bit."""
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype, where
        assert left.numpy().tobytes() == right.numpy().tobytes(), where
    elif isinstance(left, (dict, list, tuple)):
        assert len(left) == len(right), where
        for key in left if isinstance(left, dict) else range(len(left)):
            assert_equal(left[key], right[key], f"{where}, {key}")
    else:
        assert left == right, where


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "log").touch()
    return folder


def run(setting: str, kills: int, folder: Path, rng: random.Random) -> dict[str, object]:
    """Compare runs that are killed, so many times together, with one that is not."""
    epochs = 2 + -(-max(kills, 10) * BATCHES_PER_KILL // PER_EPOCH)
    whole = make_folder(folder / "whole")
    exit_code(start(whole, setting, epochs))
    hit: Counter[str] = Counter()
    runs = 0
    while hit["kills"] < kills:  # another run where the last one reached its end before all kills were spent
        runs += 1
        killed = make_folder(folder / f"killed {runs}")
        hit.update(train_killed(killed, setting, epochs, kills - hit["kills"], rng))
        assert_same(killed, whole)
        print(f"{setting}: {hit['kills']} kills of {kills}, and the same as never killed", file=sys.stderr, flush=True)
    return {"runs": runs, "epochs": epochs, "batches": epochs * PER_EPOCH, **hit}


def main(kills: int) -> None:
    begun, seed = time.perf_counter(), random.randrange(1 << 32)
    print(f"kills at moments of seed {seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        tempfile.tempdir = folder  # killed processes leave behind what multiprocessing had there
        results = {
            setting: run(setting, kills, Path(folder) / setting, random.Random(seed + i))
            for i, setting in enumerate(SETTINGS)
        }
    result = {"what": f"a training process with {WORKERS} workers, killed and resumed, beside one never killed",
              "settings": results, "indices_and_weights": "equal bit for bit",
              "seconds": round(time.perf_counter() - begun, 1)}  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
