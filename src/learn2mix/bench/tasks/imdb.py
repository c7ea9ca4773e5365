"""IMDB's film reviews with few positive ones, a one-layer transformer and the paper's settings."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.data.profiles import Step
from learn2mix.bench.data.text import load_texts
from learn2mix.bench.models import TransformerClassifier
from learn2mix.bench.tasks.base import Task, add

# As many as the 50,000 reviews have words that occur twice, and the two special ids.
WORDS = 68_098


def load(length: int, data_dir: str | os.PathLike[str] | None = None, progress: Progress = quiet) -> Data:
    """Load the 50,000 reviews as word ids, (N, length), int32; a fifth of each class is to be drawn for testing.

    The paper's authors split words with NLTK, which counts punctuation marks as words, and count the vocabulary on the
    training part alone. See :func:`load_texts` for both.
    """
    return load_texts("stanfordnlp/imdb", "imdb", length=length, max_words=WORDS, data_dir=data_dir, progress=progress)


# 20,000 negative reviews and 6,000 positive ones, as in the paper's text; its authors' code keeps all positive ones and
# 30 % of the negative.
IMDB = add(
    Task(
        name="imdb",
        version=1,
        summary="IMDB reviews of 500 words, 30 % of the positive ones; one-layer transformer",
        load=partial(load, 500),
        network=partial(TransformerClassifier, WORDS, 500),
        batch_size=500,
        epochs=40,
        mixing_rate=0.1,
        learning_rate=1e-4,
        profile=Step(minority=(1,), fraction=0.3),
        test_fraction=0.2,
        tokens=True,
        reference="arXiv:2412.16482, section 4; data: A. L. Maas et al., Word Vectors for Sentiment Analysis, ACL 2011",
    )
)

# What a processor can do in reasonable time: 200 words, and no dropout inside attention, which makes an epoch several
# times dearer. Its figures are not the paper's.
IMDB_200 = add(
    replace(
        IMDB,
        name="imdb-200",
        summary="IMDB reviews of 200 words, 30 % of the positive ones; one-layer transformer, no attention dropout",
        load=partial(load, 200),
        network=partial(TransformerClassifier, WORDS, 200, attention_dropout=0.0),
        reference="after arXiv:2412.16482, section 4; data: see imdb",
    )
)
