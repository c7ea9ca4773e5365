"""Tables, regression and reconstruction: what the data are, how they are split and cut, and what a run reports."""

import csv
import http.server
import os
import pickle
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats

from bench_toys import LOCAL_DATA, needs_local_data, toy, toy_data
from learn2mix import registry
from learn2mix.bench.data import Data, Examples
from learn2mix.bench.data.images import flattened
from learn2mix.bench.data.profiles import Step
from learn2mix.bench.data.tables import columns, read_table
from learn2mix.bench.methods import Classical, Natural
from learn2mix.bench.models import autoencoder
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.tasks import (
    CALIFORNIA_HOUSING,
    CIFAR10_RECONSTRUCTION,
    FASHION_MNIST_RECONSTRUCTION,
    MEAN_ESTIMATION,
    MNIST_RECONSTRUCTION,
    MSE,
    WINE_QUALITY,
)
from learn2mix.bench.tasks.base import squared_error

# --- The metric -------------------------------------------------------------------------------------------------------


def test_squared_error_by_hand():
    y = torch.tensor([1.0, 2.0, -3.0])
    outputs = torch.tensor([1.5, 0.0, -3.0])
    expected = torch.tensor([0.25, 4.0, 0.0])
    assert squared_error(outputs, y).equal(expected)
    # a network of one output gives (n, 1): three errors, not nine
    assert squared_error(outputs[:, None], y).equal(expected)
    images = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.5]]])
    assert squared_error(images, torch.zeros(2, 2, 2)).tolist() == [30.0, 0.25]  # the sum over pixels, an image each
    assert squared_error(images.flatten(1), torch.zeros(2, 2, 2)).tolist() == [30.0, 0.25]


def test_the_constant_is_what_the_training_mean_scores():
    # the mean of 0, 0 and 3 is 1: off by 1 and by 4
    assert MSE.constant(torch.tensor([0.0, 0.0, 3.0]), torch.tensor([2.0, 5.0])) == 8.5
    # a mean image, (1, 2): off by (1, 2), then by (0, -2)
    train, test = torch.tensor([[0.0, 2.0], [2.0, 2.0]]), torch.tensor([[2.0, 4.0], [1.0, 0.0]])
    assert MSE.constant(train, test) == (1 + 4 + 0 + 4) / 2


# --- Tables -----------------------------------------------------------------------------------------------------------

TABLE = 'a;"b c";where\n1;2.5;NEAR\n3;;FAR\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of local copies with one table, and an empty cache."""
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LEARN2MIX_DATA", raising=False)
    (tmp_path / "data" / "things").mkdir(parents=True)
    (tmp_path / "data" / "things" / "things.csv").write_text(TABLE)
    return tmp_path / "data"


def check(table):
    assert list(table) == ["a", "b c", "where"]
    np.testing.assert_array_equal(table["a"], [1.0, 3.0])
    np.testing.assert_array_equal(table["b c"], [2.5, np.nan])  # a missing number
    assert table["where"].tolist() == ["NEAR", "FAR"]
    assert (table["a"].dtype, table["b c"].dtype) == (np.float64, np.float64)


def test_a_table_from_a_local_folder(folder, monkeypatch):
    url = "http://nowhere.invalid/path/things.csv"
    check(read_table(url, "things", separator=";", data_dir=folder))
    monkeypatch.setenv("LEARN2MIX_DATA", str(folder))
    check(read_table(url, "things", separator=";"))


def test_columns_come_side_by_side(folder):
    table = read_table("things.csv", "things", separator=";", data_dir=folder)
    np.testing.assert_array_equal(columns(table, ["b c", "a"]), [[2.5, 1.0], [np.nan, 3.0]])
    with pytest.raises(ValueError, match="the table has no column 'd'; it has a, b c, where: fetch it anew"):
        columns(table, ["a", "d"])
    with pytest.raises(ValueError, match=r"column 'where' holds .*'NEAR'.*, no number: fetch it anew"):
        columns(table, ["where"])


@pytest.mark.parametrize("content", ["", "a;b\n1;2\n1;2;3\n"])
def test_what_is_no_table_is_refused(content, folder):
    (folder / "things" / "things.csv").write_text(content)
    with pytest.raises(ValueError, match=r"things\.csv is no table with the separator ';' \(.*\); fetch it anew"):
        read_table("things.csv", "things", separator=";", data_dir=folder)


def test_a_file_or_folder_that_is_not_there_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"things has no file other\.csv; fetch it from http://x/other\.csv"):
        read_table("http://x/other.csv", "things", data_dir=folder)
    with pytest.raises(FileNotFoundError, match="elsewhere is not a folder"):
        read_table("http://x/other.csv", "elsewhere", data_dir=folder)


class Site(http.server.BaseHTTPRequestHandler):
    """One table, one that breaks off, and nothing else."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/missing/things.csv":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(TABLE) + (100 if self.path.startswith("/broken") else 0)))
        self.end_headers()
        self.wfile.write(TABLE.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Site.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def cached(folder):
    """All that lies in the cache, hidden things too."""
    return sorted(path.name for path in (folder.parent / "cache").rglob("*") if path.name != "things")


def test_a_table_is_fetched_once(folder, site):
    for _ in range(2):
        check(read_table(f"{site}/good/things.csv", "things", separator=";"))
    assert Site.asked == ["/good/things.csv"]
    assert cached(folder) == ["things.csv"]
    assert (folder.parent / "cache" / "things" / "things.csv").read_text() == TABLE


@pytest.mark.parametrize("what", ["missing", "broken"])
def test_what_cannot_be_fetched_leaves_nothing(what, folder, site):
    message = (
        rf"{site}/{what}/things.csv cannot be fetched \(.+\); connect to the network once, or name a folder that holds "
        "things/things.csv with --data-dir DIR or LEARN2MIX_DATA=DIR"
    )
    with pytest.raises(ConnectionError, match=message):
        read_table(f"{site}/{what}/things.csv", "things", separator=";")
    assert cached(folder) == []
    check(read_table(f"{site}/good/things.csv", "things", separator=";"))


def test_without_a_server_the_same_is_said(folder, site):
    with pytest.raises(ConnectionError, match=r"cannot be fetched .* or name a folder that holds things/things\.csv"):
        read_table("http://127.0.0.1:9/things.csv", "things")


@pytest.mark.parametrize("what", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_was_not_written_whole_is_not_there(what, folder, site, monkeypatch):
    def fail(handle):
        raise what

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(what)):
        read_table(f"{site}/good/things.csv", "things", separator=";")
    assert cached(folder) == []


def test_regression_keeps_rows_together():
    data = Data.regression(np.arange(6.0).reshape(3, 2), [0.5, 1.5, 2.5], [1, 0, 1], ["red", "white"])
    assert data.test is None
    assert (data.train.x.dtype, data.train.y.dtype, data.train.groups.dtype) == (
        torch.float32, torch.float32, torch.int64,
    )  # fmt: skip
    assert data.train.x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert data.train.groups.tolist() == [1, 0, 1]
    assert data.group_names == ("red", "white")


# --- Wine quality -----------------------------------------------------------------------------------------------------

FEATURES = [
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide",
    "total sulfur dioxide", "density", "pH", "sulphates", "alcohol",
]  # fmt: skip


def write_wine(folder, reds, whites):
    """Made-up measurements; every row is known by its first one. Returns the rows as written."""
    (folder / "wine_quality").mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows = {}
    for colour, number in (("red", reds), ("white", whites)):
        values = generator.uniform(0, 10, (number, 12)).round(3)
        values[:, 0] = np.arange(number) + (0 if colour == "red" else 10_000)
        values[:, 11] = generator.integers(3, 10, number)
        rows[colour] = values
        lines = [";".join(f'"{name}"' for name in [*FEATURES, "quality"])]
        lines += [";".join(f"{value:g}" for value in row) for row in values]
        (folder / "wine_quality" / f"winequality-{colour}.csv").write_text("\n".join(lines))
    return rows


def test_wine_is_read_red_first(tmp_path):
    rows = write_wine(tmp_path, 20, 30)
    data = WINE_QUALITY.load(tmp_path)
    both = np.concatenate([rows["red"], rows["white"]])
    np.testing.assert_allclose(data.train.x, both[:, :11], rtol=1e-6)
    np.testing.assert_array_equal(data.train.y, both[:, 11])
    assert data.train.groups.tolist() == [0] * 20 + [1] * 30
    assert data.group_names == ("red", "white")
    assert data.test is None


@pytest.mark.parametrize("seed", [0, 1])
def test_wine_has_the_papers_1043_training_rows(seed, tmp_path):
    write_wine(tmp_path, 1599, 4898)
    data = WINE_QUALITY.load(tmp_path)
    train, test = WINE_QUALITY.split(data, seed)
    assert train.group_sizes(2) == [799, 244]
    assert test.group_sizes(2) == [800, 2450]
    assert len(train) // WINE_QUALITY.batch_size == 10
    assert WINE_QUALITY.network()(train.x[:3]).shape == (3, 1)
    np.testing.assert_allclose(train.x.mean(0), np.zeros(11), atol=1e-4)
    np.testing.assert_allclose(train.x.std(0, correction=0), np.ones(11), rtol=1e-4)
    assert set(train.y.tolist()) <= set(range(3, 10))  # targets are left as they are


# --- California housing -----------------------------------------------------------------------------------------------

NAMES = [
    "longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
    "median_income",
]  # fmt: skip
PLACES = ["NEAR BAY", "INLAND", "<1H OCEAN", "NEAR OCEAN", "ISLAND"]


def write_housing(folder, *, dollars):
    """Forty made-up blocks, eight a place; every tenth has no number of bedrooms."""
    (folder / "california_housing").mkdir(parents=True)
    lines = [",".join([*NAMES, "median_house_value", "ocean_proximity"])]
    for row in range(40):
        values = [str(100 * (row + 1) + column) for column in range(8)]
        if row % 10 == 9:
            values[4] = ""
        hundreds = 500_001 if row == 7 else 12_300 + 1700 * row
        price = str(hundreds) if dollars else f"{hundreds / 100_000:.5f}"
        lines.append(",".join([*values, price, PLACES[row % 5]]))
    (folder / "california_housing" / "housing.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("dollars", [False, True])
def test_housing_is_read_in_hundreds_of_thousands_of_dollars(dollars, tmp_path):
    write_housing(tmp_path, dollars=dollars)
    data = CALIFORNIA_HOUSING.load(tmp_path)
    # rows 4, 9, 14, ... are on islands, rows 9, 19, 29 and 39 without bedrooms; all of the latter are on islands too
    rows = [row for row in range(40) if row % 5 != 4]
    assert data.group_names == ("<1H OCEAN", "INLAND", "NEAR BAY", "NEAR OCEAN")
    order = {"<1H OCEAN": 0, "INLAND": 1, "NEAR BAY": 2, "NEAR OCEAN": 3}
    assert data.train.groups.tolist() == [order[PLACES[row % 5]] for row in rows]
    np.testing.assert_array_equal(data.train.x, [[100 * (row + 1) + column for column in range(8)] for row in rows])
    prices = [5.00001 if row == 7 else (12_300 + 1700 * row) / 100_000 for row in rows]
    np.testing.assert_array_equal(data.train.y, np.array(prices, dtype=np.float32))


def test_housing_in_dollars_is_the_same_data(tmp_path):
    prints = []
    for dollars in (False, True):
        write_housing(tmp_path / str(dollars), dollars=dollars)
        prints.append(CALIFORNIA_HOUSING.load(tmp_path / str(dollars)).fingerprint)
    assert prints[0] == prints[1]


def test_a_block_without_bedrooms_is_left_out(tmp_path):
    write_housing(tmp_path, dollars=False)
    path = tmp_path / "california_housing" / "housing.csv"
    path.write_text(path.read_text().replace("101,102,103,104,", "101,102,103,,"))
    data = CALIFORNIA_HOUSING.load(tmp_path)
    assert len(data.train) == 31
    assert 100 not in data.train.x[:, 0].tolist()
    assert torch.isfinite(data.train.x).all()


# --- Mean estimation --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def means():
    return MEAN_ESTIMATION.load()


def test_the_draws_are_always_the_same(means):
    """A golden value: stored runs are known by it. Other releases of numpy could draw otherwise."""
    assert means.fingerprint == "c6b04c7fa5718b36"
    assert MEAN_ESTIMATION.load().train.x.equal(means.train.x)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    MEAN_ESTIMATION.load()
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


def test_the_sizes_are_the_papers(means):
    assert means.group_names == ("normal", "exponential", "chi-squared", "uniform")
    assert means.train.x.shape == (8000, 10)
    train, test = MEAN_ESTIMATION.split(means, seed=0)
    assert train.group_sizes(4) == [1000, 1000, 800, 200]
    assert test.group_sizes(4) == [1000] * 4
    assert MEAN_ESTIMATION.network()(train.x[:3]).shape == (3, 1)


def of_group(data, group):
    """One distribution's draws (n, 10) and means (n, 1), float64."""
    rows = data.train.groups == group
    return data.train.x[rows].double().numpy(), data.train.y[rows].double().numpy()[:, None]


# Bounds of 5 standard deviations of the estimate. For 20,000 draws with variance v of mean 0 and fourth moment f the mean
# has the deviation sqrt(v / 20000), the variance sqrt((f - v^2) / 20000).
@pytest.mark.parametrize(
    ("group", "centred", "variance", "fourth"),
    [
        (0, lambda x, m: x - m, 1.0, 3.0),
        (1, lambda x, m: x / m - 1, 1.0, 9.0),
        # given its mean m a chi-squared draw has variance 2 m and fourth moment 12 m^2 + 48 m; over m even in (0, 1) they are
        # 1 and 28
        (2, lambda x, m: x - m, 1.0, 28.0),
        (3, lambda x, m: x - m, 100 / 3, 10_000 / 5),
    ],
    ids=["normal", "exponential", "chi-squared", "uniform"],
)
def test_the_draws_have_the_stated_means_and_spread(group, centred, variance, fourth, means):
    off = centred(*of_group(means, group))
    assert off.mean() == pytest.approx(0, abs=5 * (variance / off.size) ** 0.5)
    assert (off**2).mean() == pytest.approx(variance, abs=5 * ((fourth - variance**2) / off.size) ** 0.5)
    # the draws of a row are independent: their mean has a tenth of the variance; 6 allows for its heavier tails
    averages = off.mean(axis=1)
    assert (averages**2).mean() == pytest.approx(variance / 10, abs=variance / 10 * 6 * (4 / len(averages)) ** 0.5)


@pytest.mark.parametrize(("group", "low", "high"), [(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 20, 50)])
def test_the_means_are_spread_evenly(group, low, high, means):
    m = of_group(means, group)[1].ravel()
    assert low < m.min() < m.max() < high
    assert stats.kstest(m, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def test_the_distributions_have_the_stated_shapes(means):
    """Each draw through its own distribution function is even in (0, 1)."""
    shapes = [
        lambda x, m: stats.norm.cdf(x, m),
        lambda x, m: stats.expon.cdf(x, scale=m),
        lambda x, m: stats.chi2.cdf(x, m),
        lambda x, m: stats.uniform.cdf(x, m - 10, 20),
    ]
    for group, shape in enumerate(shapes):
        x, m = of_group(means, group)
        if group == 2:  # with next to no freedom most draws are below what float32 can tell from 0
            x, m = x[m[:, 0] > 0.3], m[m[:, 0] > 0.3]
        assert stats.kstest(shape(x, m).ravel(), "uniform").pvalue > 1e-4, group


def test_a_constant_prediction_of_the_means(means):
    """2.8 = (0.5 * 2800 + 35 * 200) / 3000 is off by 2.3 and 32.2 on average, and the means spread by 1/12 and 75.

    1000 even means between 20 and 50 give the mean of squares with a deviation of about 2 * 32.2 * 8.66 / sqrt(1000) = 17.6, a
    quarter of which counts.
    """
    train, test = MEAN_ESTIMATION.split(means, seed=0)
    expected = (3 * (2.3**2 + 1 / 12) + 32.2**2 + 75) / 4
    constant = MSE.constant(train.y, test.y)
    assert constant == pytest.approx(expected, abs=5 * 17.6 / 4)
    exact = np.mean((test.y.double().numpy() - train.y.double().numpy().mean()) ** 2)
    assert constant == pytest.approx(exact, rel=1e-9)
    result = run("mean-estimation", "classical", 0, 1, data=means)
    assert result.facts["reference_metric"] == pytest.approx(exact, rel=1e-9)
    assert result.facts["metric"] == "mse"
    assert result.facts["train_group_sizes"] == [1000, 1000, 800, 200]
    weighted = result.curves["group_metric"].mean(axis=1)  # groups of equal size
    np.testing.assert_allclose(weighted, result.curves["test_metric"], rtol=1e-5)


def test_a_regression_run_scores_its_networks_squared_error(means):
    ready = make_ready(MEAN_ESTIMATION, Classical(), 0, means)
    outputs = ready.trainer.network(ready.test.x).detach().double().numpy().ravel()
    expected = np.mean((outputs - ready.test.y.double().numpy()) ** 2)
    scores = ready.evaluate()
    assert scores.metric == scores.loss == pytest.approx(expected, rel=1e-5)


# --- Reconstruction ---------------------------------------------------------------------------------------------------

RECONSTRUCTIONS = [MNIST_RECONSTRUCTION, FASHION_MNIST_RECONSTRUCTION, CIFAR10_RECONSTRUCTION]
MNIST_SIZES = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def pictures(seed=0, test=True):
    """Three kinds of grey pictures of 2 x 3 bytes."""
    generator = np.random.default_rng(seed)

    def make(sizes):
        y = torch.from_numpy(generator.permutation(np.repeat(np.arange(3), sizes)))
        x = torch.from_numpy(generator.integers(0, 256, (len(y), 1, 2, 3), dtype=np.uint8))
        return Examples(x, y, y)

    return Data(make((30, 20, 12)), make((10, 6, 8)) if test else None, ("a", "b", "c"))


def rebuilding(**changes):
    settings = {
        "name": "rebuilding",
        "network": lambda: autoencoder(6),
        "loss": squared_error,
        "metric": MSE,
        "kind": "reconstruction",
        "profile": Step(minority=(1,), fraction=0.5),
    }
    return toy(**{**settings, **changes})


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("evaluate_on", ["test", "validation"])
def test_inputs_are_their_own_targets_all_the_way(test, evaluate_on):
    """The same tensor, not an equal one: a copy would double what lies in memory."""
    data = flattened(pictures(test=test))
    parts = [data.train, *rebuilding().split(data, 0, evaluate_on)]
    if test:
        parts.append(data.test)
    for examples in parts:
        assert examples.y is examples.x
        assert examples.to("cpu").y is examples.to("cpu").x
        taken = examples.take(torch.tensor([3, 0]))
        assert taken.y is taken.x
        assert taken.x.equal(examples.x[[3, 0]])
        assert all(chunk.y is chunk.x for chunk in examples.chunks(5))
    moved = data.train.to(torch.float64)
    assert moved.y is moved.x
    plain = toy_data().train
    assert plain.take(torch.tensor([0])).y is not plain.take(torch.tensor([0])).x


def test_a_reconstruction_reports_sums_over_pixels_and_the_mean_image():
    data = flattened(pictures())
    result = run(rebuilding(), "learn2mix", 0, 2, data=data)
    assert result.facts["train_group_sizes"] == [30, 10, 12]
    train, test = rebuilding().split(data, 0)
    pixels = {"train": train.x.double().numpy(), "test": test.x.double().numpy()}
    assert pixels["test"].shape == (24, 6)
    mean_image = pixels["train"].mean(axis=0)
    expected = np.mean([sum((row - mean_image) ** 2) for row in pixels["test"]])
    assert result.facts["reference_metric"] == pytest.approx(expected, rel=1e-9)

    ready = make_ready(rebuilding(), Natural(), 0, data)
    rebuilt = ready.trainer.network(test.x).detach().double().numpy()
    each = ((rebuilt - pixels["test"]) ** 2).sum(axis=1)
    assert result.curves["test_metric"][0] == pytest.approx(each.mean(), rel=1e-5)
    for group in range(3):
        members = each[test.groups.numpy() == group]
        assert result.curves["group_metric"][0, group] == pytest.approx(members.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "sizes", "kept"),
    [
        # a fifth of 5421, 5918, 6265, 5851 and 5949, rounded down: 1084, 1183, 1253, 1170, 1189; with the others 36475
        (MNIST_RECONSTRUCTION, MNIST_SIZES, [5923, 6742, 5958, 6131, 5842, 1084, 1183, 1253, 1170, 1189]),
        (FASHION_MNIST_RECONSTRUCTION, [6000] * 10, [6000] * 5 + [1200] * 5),
        (CIFAR10_RECONSTRUCTION, [5000] * 10, [500, 500, 500, 500, 5000, 5000, 500, 500, 500, 500]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_cuts_are_the_papers(task, sizes, kept):
    assert task.profile(sizes) == kept
    total = {"mnist-reconstruction": 36475, "fashion-mnist-reconstruction": 36000, "cifar10-reconstruction": 14000}
    assert sum(kept) == total[task.name]


@pytest.mark.parametrize("task", RECONSTRUCTIONS, ids=lambda task: task.name)
def test_the_tasks_load_their_images_as_rows(task, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("LEARN2MIX_CACHE", str(tmp_path / "cache"))
    name = task.name.removesuffix("-reconstruction").replace("-", "_")
    shape, column = ((32, 32, 3), "img") if name == "cifar10" else ((28, 28), "image")
    features = datasets.Features({column: datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    (tmp_path / name / name).mkdir(parents=True)
    for part in ("train", "test"):
        rows = {column: list(images), "label": [i % 10 for i in range(20)]}
        path = tmp_path / name / name / f"{part}-00000-of-00001.parquet"
        datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    data = task.load(tmp_path)
    assert data.train.y is data.train.x
    channels_first = images if name != "cifar10" else np.moveaxis(images, -1, 1)
    np.testing.assert_allclose(data.test.x, channels_first.reshape(20, -1) / 255, atol=1e-6)
    assert data.test.groups.tolist() == [i % 10 for i in range(20)]
    network = task.network()
    rebuilt = network(data.train.x)
    assert rebuilt.shape == data.train.x.shape
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1


# --- Against the real data, where they are ----------------------------------------------------------------------------


def raw_rows(path, delimiter):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@needs_local_data
def test_local_wine():
    data = WINE_QUALITY.load(LOCAL_DATA)
    folder = LOCAL_DATA / "wine_quality"
    rows = [row for colour in ("red", "white") for row in raw_rows(folder / f"winequality-{colour}.csv", ";")]
    assert len(rows) == 1599 + 4898
    np.testing.assert_allclose(data.train.x, [[float(row[name]) for name in FEATURES] for row in rows], rtol=1e-6)
    assert data.train.y.tolist() == [float(row["quality"]) for row in rows]
    assert (data.train.y.min(), data.train.y.max()) == (3, 9)
    assert data.train.group_sizes(2) == [1599, 4898]
    assert WINE_QUALITY.split(data, 0)[0].group_sizes(2) == [799, 244]


@needs_local_data
def test_local_housing():
    data = CALIFORNIA_HOUSING.load(LOCAL_DATA)
    rows = raw_rows(LOCAL_DATA / "california_housing" / "housing.csv", ",")
    assert len(rows) == 20640
    assert sum(row["total_bedrooms"] == "" for row in rows) == 207
    assert sum(row["ocean_proximity"] == "ISLAND" for row in rows) == 5
    rows = [row for row in rows if row["total_bedrooms"] and row["ocean_proximity"] != "ISLAND"]
    assert len(rows) == len(data.train) == 20640 - 207 - 5
    np.testing.assert_allclose(data.train.x, [[float(row[name]) for name in NAMES] for row in rows], rtol=1e-6)
    np.testing.assert_allclose(data.train.y, [float(row["median_house_value"]) for row in rows], rtol=1e-6)
    assert data.train.y.max().item() == pytest.approx(5.00001)
    places = [data.group_names[group] for group in data.train.groups.tolist()]
    assert places == [row["ocean_proximity"] for row in rows]
    # 9034, 6496, 2270 and 2628 rows: a half rounded down for testing, a twentieth of the rest of all but inland
    train, test = CALIFORNIA_HOUSING.split(data, 0)
    assert test.group_sizes(4) == [4517, 3248, 1135, 1314]
    assert train.group_sizes(4) == [225, 3248, 56, 65]
    assert len(train) // CALIFORNIA_HOUSING.batch_size == 3


@needs_local_data
@pytest.mark.parametrize(
    ("task", "number"),
    list(zip(RECONSTRUCTIONS, [36475, 36000, 14000], strict=True)),
    ids=lambda value: getattr(value, "name", None),
)
def test_local_images_are_cut_to_the_papers_numbers(task, number):
    """The labels alone: decoding the images is tested elsewhere."""
    name = task.name.removesuffix("-reconstruction").replace("-", "_")
    (path,) = (LOCAL_DATA / name).rglob("train-*.parquet")
    labels = torch.tensor(pq.read_table(path, columns=["label"]).column("label").to_pylist())
    rows = torch.arange(float(len(labels)))[:, None]
    train, _ = task.split(Data(Examples(rows, rows, labels), Examples(rows, rows, labels), tuple("0123456789")), 0)
    assert len(train) == number
    assert train.group_sizes(10) == task.profile(torch.bincount(labels).tolist())


@pytest.mark.parametrize("entry", registry.entries("task"), ids=lambda entry: entry.name)
def test_every_task_can_be_sent_to_a_worker_process(entry):
    assert pickle.loads(pickle.dumps(entry.part)).settings() == entry.part.settings()
