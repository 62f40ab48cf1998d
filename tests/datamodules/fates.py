"""A corpus whose jobs end in every way there is; a module of its own, which workers import without torch."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.corpora.building import BuildJob, BuildPlan, CorpusSource, write_item
from datamodules.corpora.corpus import Item
from datamodules.corpora.journal import Built
from runtime.hashing import FileHashes, sha256_of


@dataclass(frozen=True)
class FateJob(BuildJob):
    """Writes one item, or ends in another way."""

    name: str

    def run(self, root: Path) -> Built:
        match self.name:
            case "broken":
                raise KeyError("what no one expects of a file")
            case "aborts":
                os.abort()
            case "leads out":
                return Built((self._written(root, "../../../../../out"),), ("",))
        item = self._written(root, self.name)
        return Built((item,), (sha256_of(root / "audio" / f"{item.stem}.wav"),))

    def _written(self, root: Path, piece: str) -> Item:
        item = Item("train", "monophonic", piece, "flute", "default", 16000, -30.0)
        write_item(root, item, np.zeros(16000), 16000)
        return item


class Fates(CorpusSource):
    name = "fates"
    instruments = ("flute",)

    def __init__(self, *fates: str) -> None:
        self.fates = fates

    def describe(self, hashes: FileHashes) -> dict[str, Any]:
        return {"fates": self.fates}

    def licences(self) -> list[str]:
        return []

    def plan(
        self, sample_rate: int, cache: Path, hashes: FileHashes, workers: int | None, progress: bool
    ) -> BuildPlan:
        return BuildPlan([FateJob(fate) for fate in self.fates], (), 0)
