"""Trainers of other libraries: what docs/trainers.md promises, and what it says goes wrong."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from harness import small_mixer
from learn2mix import Mixer
from trainers_support import (
    assert_together,
    example,
    in_two_processes,
    kinds,
    listening,
    plain_run,
    rest_of,
    weights_of,
)

WHOLE = "00000|11111|22222|"  # three epochs of five batches, as `kinds` writes them


class TestMadeTooEarly:
    """A Mixer made before the process group does not know of the other processes."""

    def test_it_says_so(self, monkeypatch):
        mixer = small_mixer()
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_world_size", lambda group=None: 2)
        with pytest.raises(ValueError, match=r"made before the process group of 2 processes.*make it after"):
            next(iter(mixer.batch_sampler))

    def test_it_may_be_meant(self, monkeypatch):
        mixer = small_mixer(num_replicas=1, rank=0)
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_world_size", lambda group=None: 2)
        assert len(next(iter(mixer.batch_sampler))) == 3

    def test_a_group_of_one_changes_nothing(self, monkeypatch):
        mixer = small_mixer()
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_world_size", lambda group=None: 1)
        assert len(next(iter(mixer.batch_sampler))) == 3


# --- Lightning --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
class TestLightning:
    @pytest.fixture
    def names(self):
        pytest.importorskip("lightning")
        return example("Lightning")

    @pytest.fixture
    def plain(self, names):
        return plain_run(names)

    def with_loader(self, names, **options):
        class Module(names["Module"]):
            def train_dataloader(self):
                return names["DataLoader"](names["dataset"], batch_sampler=self.mixer.batch_sampler, **options)

            def val_dataloader(self):
                return names["DataLoader"](names["dataset"], batch_size=20)

            def validation_step(self, batch, batch_idx):
                self.log("loss", F.cross_entropy(self.model(batch[0]), batch[1]))

        return Module

    @pytest.mark.parametrize(
        "loader",
        [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}],
        ids=["0 workers", "2 workers", "2 workers that persist"],
    )
    def test_it_trains_as_a_plain_loop_does(self, names, plain, tmp_path, loader):
        """With a sanity check before and validation within; no batch is lost or counted twice."""
        with listening() as events:
            fitted = names["train"](tmp_path, module=self.with_loader(names, **loader), val_check_interval=2)
        assert events == plain[0]
        assert torch.equal(weights_of(fitted), plain[1])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_it_resumes_exactly_from_any_step(self, names, plain, tmp_path, workers):
        module = self.with_loader(names, num_workers=workers)
        names["train"](tmp_path, module=module)
        for batches in range(1, 16) if workers == 0 else (3, 5, 9, 10, 15):
            with listening() as events:
                fitted = names["train"](tmp_path / "again", tmp_path / f"step={batches}.ckpt", module)
            assert events == rest_of(plain[0], batches), f"from step {batches}"
            assert torch.equal(weights_of(fitted), plain[1])

    @pytest.mark.parametrize("at_epoch_end", [True, False], ids=["at the epoch's end", "after validation"])
    def test_it_resumes_exactly_from_any_epoch(self, names, plain, tmp_path, at_epoch_end):
        from lightning.pytorch.callbacks import ModelCheckpoint

        keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}", save_on_train_epoch_end=at_epoch_end)
        module = self.with_loader(names)
        names["train"](tmp_path, module=module, callbacks=[keep])
        for epoch in range(3):
            with listening() as events:
                fitted = names["train"](tmp_path / "again", tmp_path / f"epoch={epoch}.ckpt", module)
            assert events == rest_of(plain[0], 5 * (epoch + 1))
            assert torch.equal(weights_of(fitted), plain[1])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_shorter_epochs_and_early_stops_lose_nothing(self, names, plain, tmp_path, workers):
        module = self.with_loader(names, num_workers=workers)
        with listening() as events:
            names["train"](tmp_path / "a", module=module, limit_train_batches=3)
        assert events == plain_run(names, batches=3)[0]
        with listening() as events:
            names["train"](tmp_path / "b", module=module, max_steps=7, max_epochs=-1)
        assert events == plain[0][:8]

    def test_updates_within_an_epoch(self, names, tmp_path):
        def train(workers, look_ahead):
            class Module(self.with_loader(names, num_workers=workers)):
                def setup(self, stage):
                    policy = names["policies"].Learn2Mix(mixing_rate=0.5)
                    self.mixer = Mixer(names["labels"], 8, policy=policy, update_every=1, look_ahead=look_ahead)

            with listening() as events:
                names["train"](tmp_path / f"{workers}-{look_ahead}", module=Module)
            return kinds(events)

        assert train(0, 0) == WHOLE
        assert train(2, 4) == WHOLE
        with pytest.raises(ValueError, match="look_ahead=num_workers"):
            train(2, 3)

    def test_step_in_the_epoch_end_hook_loses_an_epoch(self, names, plain, tmp_path):
        class Hooked(names["Module"]):
            def training_step(self, batch, batch_idx):
                losses = F.cross_entropy(self.model(batch[0]), batch[1], reduction="none")
                self.mixer.observe(losses, batch[1])
                return losses.mean()

            def on_train_epoch_end(self):
                self.mixer.step()

        with listening() as events:
            names["train"](tmp_path, module=Hooked)
        assert events == plain[0]
        for batches, rest in ((4, "0|11111|22222|"), (5, "|11111|"), (6, "1111|22222|")):
            with listening() as events:
                names["train"](tmp_path / "again", tmp_path / f"step={batches}.ckpt", Hooked)
            assert kinds(events) == rest

    def test_two_processes(self, names, plain, tmp_path):
        driver = """
early = names["make_mixer"]()  # before the process group

def train(name, resume=None, **options):
    with listening() as events:
        fitted = names["train"](f"{folder}/{name}", resume, devices=2, strategy="ddp", **options)
    return events, weights_of(fitted)

whole, weights = train("whole")
said.append(whole)
for batches in (3, 5, 9):
    events, again = train("again", f"{folder}/whole/step={batches}.ckpt")
    said.append(events == rest_of(whole, batches) and torch.equal(weights, again))

class Early(names["Module"]):
    def setup(self, stage):
        self.mixer = early

for wrong in ({"use_distributed_sampler": True}, {"module": Early}):
    try:
        train("wrong", **wrong)
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
"""
        said = in_two_processes("Lightning", driver, tmp_path)
        assert_together([mine[0] for mine in said], plain[0])
        for _, *exact, inject, early in said:
            assert exact == [True, True, True]
            assert inject.startswith("TypeError:  Lightning can't inject a (distributed) sampler")
            assert "made before the process group of 2" in early


# --- Accelerate -------------------------------------------------------------------------------------------------------


class TestAccelerate:
    @pytest.fixture
    def names(self):
        pytest.importorskip("accelerate")
        return example("Accelerate")

    @pytest.fixture
    def plain(self, names):
        return plain_run(names)

    @pytest.fixture(autouse=True)
    def _afresh(self, names):
        """Its settings are kept for the whole process."""
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    def test_it_trains_as_a_plain_loop_does(self, names, plain):
        with listening() as events:
            model = names["train"](None)
        assert events == plain[0]
        assert torch.equal(weights_of(model), plain[1])

    def test_it_resumes_exactly_after_any_batch(self, names, plain, tmp_path):
        names["train"](tmp_path)
        for batches in range(1, 16):
            epoch, batch = divmod(batches - 1, 5)
            with listening() as events:
                model = names["train"](None, f"{tmp_path}/epoch{epoch}-batch{batch}")
            rest = rest_of(plain[0], batches)
            assert events == ([plain[0][epoch * 6 + 5], *rest] if batch == 4 else rest)
            assert torch.equal(weights_of(model), plain[1])

    def test_gradients_that_accumulate(self, names, tmp_path):
        events, weights = plain_run(names, accumulate=2)
        with listening() as heard:
            model = names["train"](tmp_path, accumulate=2)
        assert kinds(heard) == kinds(events)
        # The last, partial accumulation of an epoch is divided by 2 on either side.
        torch.testing.assert_close(weights_of(model), weights)
        with listening() as again:
            resumed = names["train"](None, f"{tmp_path}/epoch1-batch3", accumulate=2)
        assert again == rest_of(heard, 9)
        assert torch.equal(weights_of(resumed), weights_of(model))

    def test_a_loader_not_prepared_hides_the_end_of_the_epoch(self, names):
        def optimizer_steps(prepare):
            accelerator = names["Accelerator"](cpu=True, gradient_accumulation_steps=2)
            mixer, model = names["make_mixer"](), names["make_model"]()
            model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.5))
            loader = prepare(torch.utils.data.DataLoader(names["dataset"], batch_sampler=mixer.batch_sampler))
            made = 0
            for _ in range(2):
                for x, y in loader:
                    with accelerator.accumulate(model):
                        losses = F.cross_entropy(model(x), y, reduction="none")
                        mixer.observe(losses, y)
                        accelerator.backward(losses.mean())
                        optimizer.step()
                        made += accelerator.sync_gradients
                        optimizer.zero_grad()
                mixer.step()
            return made

        def alone(loader):
            return names["prepare_data_loader"](loader, num_processes=1, process_index=0)

        assert optimizer_steps(lambda loader: loader) == 5
        assert optimizer_steps(alone) == 6

    def test_a_prepared_loader_reads_one_batch_ahead(self, names):
        def run(look_ahead):
            policy = names["policies"].Learn2Mix(mixing_rate=0.5)
            mixer = Mixer(names["labels"], 8, policy=policy, update_every=1, look_ahead=look_ahead)
            loader = torch.utils.data.DataLoader(names["dataset"], batch_sampler=mixer.batch_sampler)
            for x, y in names["prepare_data_loader"](loader, num_processes=1, process_index=0):
                mixer.observe(F.cross_entropy(x[:, :3], y, reduction="none"), y)
            mixer.step()
            return mixer.epoch

        names["Accelerator"](cpu=True)
        assert run(1) == 1
        with pytest.raises(ValueError, match="look_ahead=0"):
            run(0)

    def test_skipping_batches_after_loading_loses_them(self, names):
        from accelerate import skip_first_batches

        first, second = names["make_mixer"](), names["make_mixer"]()
        batches = list(first.batch_sampler)
        first.skip(2)
        second.load_state_dict(first.state_dict())
        names["Accelerator"](cpu=True)
        loader = torch.utils.data.DataLoader(torch.arange(41), batch_sampler=second.batch_sampler)
        assert [batch.tolist() for batch in skip_first_batches(loader, 2)] == batches[4:]
        assert [batch.tolist() for batch in loader] == batches[2:]

    def test_two_processes(self, names, plain, tmp_path):
        driver = """
early = names["make_mixer"]()  # before the process group

def train(*given, **options):
    with listening() as events:
        model = names["train"](*given, **options)
    return events, weights_of(model)

def error_of(*given, **options):
    try:
        train(*given, **options)
    except ValueError as error:
        return str(error)

whole, weights = train(f"{folder}/whole")
said.append(whole)
for epoch, batch in ((0, 2), (1, 3)):
    events, again = train(None, f"{folder}/whole/epoch{epoch}-batch{batch}")
    said.append(events == rest_of(whole, epoch * 5 + batch + 1) and torch.equal(weights, again))

right = dict(names)
names["Whole"] = lambda mixer: mixer
train(f"{folder}/alone", epochs=1)
said.append(error_of(None, f"{folder}/alone/epoch0-batch2", epochs=0))

names.update(right, prepare_data_loader=lambda loader, *_, **__: names["Accelerator"]().prepare(loader))
said.append(train(None)[0])

names.update(right, make_mixer=lambda: early)
said.append(error_of(None))
"""
        said = in_two_processes("Accelerate", driver, tmp_path)
        assert_together([mine[0] for mine in said], plain[0])
        for _, *exact, _, sharded_twice, early in said:
            assert exact == [True, True]
            assert kinds(sharded_twice) == "000|111|222|"
            assert "made before the process group of 2" in early
        assert said[0][3] is None
        assert "the state is that of replica 0 of 2" in said[1][3]
        first, second = (mine[4] for mine in said)
        own = [[mine[0][batch][1] for batch in range(5)] for mine in said]
        assert [event[1] for event in first[:3]] == [own[0][batch] for batch in (0, 2, 4)]
        assert [event[1] for event in second[:3]] == [own[1][batch] for batch in (1, 3, 0)]


# --- transformers -----------------------------------------------------------------------------------------------------


class TestTransformers:
    @pytest.fixture
    def names(self):
        pytest.importorskip("transformers")
        pytest.importorskip("accelerate")
        return example("transformers")

    @pytest.fixture
    def plain(self, names):
        return plain_run(names)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_it_trains_as_a_plain_loop_does(self, names, plain, tmp_path, workers):
        """With evaluation within."""
        with listening() as events:
            net = names["train"](tmp_path, dataloader_num_workers=workers, eval_strategy="steps", eval_steps=2)
        assert events == plain[0]
        assert torch.equal(weights_of(net), plain[1])

    @pytest.mark.parametrize("workers", [0, 2])
    def test_it_resumes_exactly_from_any_step(self, names, plain, tmp_path, workers):
        names["train"](tmp_path)
        for batches in range(1, 16) if workers == 0 else (3, 5, 9, 10, 15):
            with listening() as events:
                net = names["train"](
                    tmp_path / "again", f"{tmp_path}/checkpoint-{batches}", dataloader_num_workers=workers
                )
            assert events == rest_of(plain[0], batches), f"from step {batches}"
            assert torch.equal(weights_of(net), plain[1])

    def test_it_resumes_exactly_from_any_epoch(self, names, plain, tmp_path):
        names["train"](tmp_path, save_strategy="epoch")
        for epoch in (1, 2, 3):
            with listening() as events:
                names["train"](tmp_path / "again", f"{tmp_path}/checkpoint-{5 * epoch}")
            assert events == rest_of(plain[0], 5 * epoch)

    def test_gradients_that_accumulate(self, names, tmp_path):
        policy = names["policies"].Learn2Mix(mixing_rate=0.5)
        names["make_mixer"] = lambda: Mixer(names["labels"], 10, policy=policy)  # four batches an epoch
        events, weights = plain_run(names, accumulate=2)
        with listening() as heard:
            net = names["train"](tmp_path, gradient_accumulation_steps=2)
        assert kinds(heard) == kinds(events) == "0000|1111|2222|"
        torch.testing.assert_close(weights_of(net), weights)
        for step in range(1, 7):
            with listening() as again:
                resumed = names["train"](
                    tmp_path / "again", f"{tmp_path}/checkpoint-{step}", gradient_accumulation_steps=2
                )
            assert again == rest_of(heard, 2 * step)
            assert torch.equal(weights_of(resumed), weights_of(net))

    def test_a_model_that_takes_options_gets_gradients_too_large(self, names, tmp_path):
        """So it would be without ``model_accepts_loss_kwargs = False``."""
        names["make_mixer"] = lambda: Mixer(names["labels"], 20, policy=names["policies"].Static("natural"))

        class Unscaled(names["MixingTrainer"]):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                self.model_accepts_loss_kwargs = names["Trainer"](*args[:1]).model_accepts_loss_kwargs

        start = names["make_model"]().weight
        one = {"epochs": 1, "gradient_accumulation_steps": 2}
        right = weights_of(names["train"](tmp_path / "right", **one)) - start
        wrong = weights_of(names["train"](tmp_path / "wrong", trainer=Unscaled, **one)) - start
        torch.testing.assert_close(wrong, 2 * right)

    def test_uneven_accumulation_is_refused(self, names, tmp_path):
        with pytest.raises(ValueError, match="multiple of gradient_accumulation_steps"):
            names["train"](tmp_path, gradient_accumulation_steps=2)

    def test_skipping_data_loses_batches(self, names, tmp_path):
        names["train"](tmp_path)
        with listening() as events:
            names["train"](tmp_path / "again", f"{tmp_path}/checkpoint-2", ignore_data_skip=False)
        assert kinds(events) == "000|11111|"  # where "000|11111|22222|" was left

    def test_step_at_the_end_of_the_epoch_stops_training(self, names, plain, tmp_path):
        class Late(names["Keep"]):
            def on_step_end(self, *given, **options):
                pass

            def on_epoch_end(self, *given, **options):
                self.mixer.step()

        class LateTrainer(names["MixingTrainer"]):
            def add_callback(self, callback):
                super().add_callback(Late(callback.mixer) if isinstance(callback, names["Keep"]) else callback)

        with listening() as events:
            names["train"](tmp_path, trainer=LateTrainer)
        assert events == plain[0]
        for step, rest in ((4, "0|11111|22222|"), (5, "|"), (6, "1111|22222|")):
            with listening() as events:
                names["train"](tmp_path / "again", f"{tmp_path}/checkpoint-{step}", trainer=LateTrainer)
            assert kinds(events) == rest

    @pytest.mark.parametrize("strategy", ["steps", "epoch"])
    def test_observing_evaluation_raises(self, names, tmp_path, strategy):
        class Careless(names["MixingTrainer"]):
            def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
                outputs = model(**inputs)
                losses = F.cross_entropy(outputs, inputs["labels"], reduction="none")
                self.mixer.observe(losses, inputs["labels"])
                return (losses.mean(), {"logits": outputs}) if return_outputs else losses.mean()

        with pytest.raises(ValueError, match="observe each training batch once, and no validation batch"):
            names["train"](tmp_path, trainer=Careless, eval_strategy=strategy, eval_steps=2)

    def test_two_processes(self, names, plain, tmp_path):
        driver = """
early = names["make_mixer"]()  # before the process group

def train(name, resume=None, **options):
    with listening() as events:
        net = names["train"](f"{folder}/{name}", resume, ddp_backend="gloo", **options)
    return events, weights_of(net)

whole, weights = train("whole")
said.append(whole)
torch.distributed.barrier()
for step in (3, 5):
    events, again = train("again", f"{folder}/whole/checkpoint-{step}")
    said.append(events == rest_of(whole, step) and torch.equal(weights, again))

class Twice(names["MixingTrainer"]):
    def get_train_dataloader(self):
        return self.accelerator.prepare(super().get_train_dataloader())

said.append(train("twice", trainer=Twice, epochs=2)[0])
names["make_mixer"] = lambda: early
try:
    train("early")
except ValueError as error:
    said.append(str(error))
"""
        said = in_two_processes("transformers", driver, tmp_path)
        assert_together([mine[0] for mine in said], plain[0])
        for _, *exact, twice, early in said:
            assert exact == [True, True]
            assert kinds(twice) == "0000"
            assert "made before the process group of 2" in early
