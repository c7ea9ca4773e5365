"""Writes tiny data sets in the layout of the hub."""

import pytest


def write_splits(folder, splits, features):
    """Write one Parquet file a split; ``splits`` maps their names to columns."""
    datasets = pytest.importorskip("datasets")
    folder.mkdir(parents=True, exist_ok=True)
    for split, columns in splits.items():
        rows = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
        rows.to_parquet(folder / f"{split}-00000-of-00001.parquet")
