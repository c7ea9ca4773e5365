"""Labelled texts from the hub or a local folder, turned into word ids once and cached."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learn2mix.bench.data import Data, Examples, Progress, cache, hub, quiet

PADDING, UNKNOWN = 0, 1
_SPECIAL = 2  # words are numbered from here
_LAYOUT = 1  # of what is cached, and of how words are made: raised by any change to them
_WORD = re.compile(r"\w+(?:'\w+)*")
_TAG = re.compile(r"<[^<>]*>")


def words_of(text: str) -> list[str]:
    """Split a text into lower-cased words: letters and digits, with apostrophes inside; marks and HTML tags are dropped.

    >>> words_of("It doesn't<br /><br />WORK, 'really'.")
    ['it', "doesn't", 'work', 'really']
    """
    return _WORD.findall(_TAG.sub(" ", text.lower()))


def load_texts(
    hub_id: str,
    folder: str,
    *,
    length: int,
    text: str = "text",
    label: str = "label",
    splits: Sequence[str] = ("train", "test"),
    min_frequency: int = 2,
    max_words: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = quiet,
) -> Data:
    """Load labelled texts as word ids, from a local folder or the hub, all splits in one.

    Words are those of :func:`words_of`; id 0 is padding, 1 an unknown word, and from 2 on they stand by falling frequency,
    equally frequent ones in the order of their letters. **The vocabulary is counted over all texts**, those that a run
    later tests on included. Labels are not looked at, so nothing of the answers leaks; a word that stands in test texts
    alone has an id of its own, but its vector stays as it was drawn, where it would otherwise have been that of an unknown
    word. In return all seeds, whatever they hold out, share one vocabulary and one cached set.

    The ids are cached like images; see :func:`learn2mix.bench.data.images.load_images`.

    Args:
        hub_id: The data set's name on the Hugging Face hub.
        folder: Its folder under ``data_dir``, in the layout of its hub repository.
        length: Words a text: longer ones are cut, shorter ones padded at the end.
        text: The column of the texts.
        label: The column of the class numbers.
        splits: The splits that are joined, in this order.
        min_frequency: Rarer words are unknown.
        max_words: The most ids, the two special ones included; the rarest words beyond are unknown. None takes all.
        data_dir: A folder of local copies; without it ``$LEARN2MIX_DATA`` is taken, and without that the hub.
        progress: Told how many texts are read, where that is needed.

    Returns:
        Word ids (N, length), int32, with the class of each text as target and as group; a test set is left to be drawn.

    Raises:
        FileNotFoundError: ``data_dir`` has no such folder.
        ConnectionError: No folder was given and the hub cannot be reached.
        ValueError: A split or column is missing, or a number is out of its range.
    """
    for name, value, least in (("length", length, 1), ("min_frequency", min_frequency, 1), ("max_words", max_words, 3)):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    source = hub.find(hub_id, folder, data_dir)
    reader = _Reader(source, text, label, tuple(splits), length, min_frequency, max_words, progress)
    key = cache.hash_text(_LAYOUT, source.key, text, label, list(splits), length, min_frequency, max_words)
    found = cache.kept(f"{folder}-{key}", reader.write)
    names = tuple(found.facts["group_names"])
    digest = cache.hash_text(names, sorted(found.hashes.items()))
    y = torch.from_numpy(found.arrays["y"])
    return Data(Examples(torch.from_numpy(found.arrays["x"]), y, y), None, names, digest)


@dataclass(frozen=True)
class _Reader:
    source: hub.Source
    text: str
    label: str
    splits: tuple[str, ...]
    length: int
    min_frequency: int
    max_words: int | None
    progress: Progress

    def write(self, write: cache.Write) -> dict[str, Any]:
        """Write ``x`` and ``y``; return the class names."""
        with tempfile.TemporaryDirectory(prefix="learn2mix-") as scratch:
            loaded = self.source.load(scratch)
            hub.check_layout(loaded, self.splits, (self.text, self.label), str(self.source.local or self.source.hub_id))
            names = hub.class_names(loaded[self.splits[0]], self.label)
            rows = [loaded[split] for split in self.splits]
            labels = np.concatenate([np.asarray(part[self.label], dtype=np.int64) for part in rows])
            vocabulary: dict[str, int] = {}
            texts = list(self._numbered(rows, vocabulary, len(labels)))
        ids = _by_frequency(vocabulary, texts, self.min_frequency, self.max_words)
        write("y", labels.shape, np.int64, [labels])
        write("x", (len(labels), self.length), np.int32, (self._cut(ids[words]) for words in texts))
        return {"group_names": names}

    def _numbered(self, rows: Sequence[Any], vocabulary: dict[str, int], total: int) -> Iterator[NDArray[np.int32]]:
        """Give each text as numbers of words, in the order of their first use; numbers, since strings would fill memory."""
        done = 0
        for part in rows:
            for row in part:
                words = words_of(row[self.text])
                yield np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words], dtype=np.int32)
                done += 1
                if done % 1000 == 0 or done == total:
                    self.progress("decoding", done, total)

    def _cut(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        row = np.full((1, self.length), PADDING, dtype=np.int32)
        row[0, : len(ids)] = ids[: self.length]
        return row


def _by_frequency(
    vocabulary: dict[str, int], texts: Sequence[NDArray[np.int32]], min_frequency: int, max_words: int | None
) -> NDArray[np.int32]:
    """Give the id of each numbered word, (words,)."""
    counts = np.zeros(len(vocabulary), dtype=np.int64)
    for text in texts:
        np.add.at(counts, text, 1)
    kept = [(-counts[number], word, number) for word, number in vocabulary.items() if counts[number] >= min_frequency]
    ids = np.full(len(vocabulary), UNKNOWN, dtype=np.int32)
    most = len(kept) if max_words is None else max_words - _SPECIAL
    for place, (_, _, number) in enumerate(sorted(kept)[:most]):
        ids[number] = place + _SPECIAL
    return ids
