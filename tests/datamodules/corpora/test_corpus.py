"""A corpus that is opened says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datamodules.corpora.corpus import Corpus


def test_the_level_of_a_corpus_is_the_one_asked_for_or_the_mean_of_its_files(tiny_corpus: Corpus) -> None:
    assert tiny_corpus.loudness_db == -23
    request = {**tiny_corpus.manifest["request"], "source": {"loudness_db": None}}
    as_they_are = replace(tiny_corpus, manifest={**tiny_corpus.manifest, "request": request})
    assert as_they_are.loudness_db == pytest.approx(np.mean([item.loudness_db for item in tiny_corpus.items]))
