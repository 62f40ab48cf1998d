"""``--recordings FOLDER --target NAME``: any experiment on a folder of one's own recordings.

The folder has a folder of audio files for each instrument; `RecordingsCorpus` says what else it may hold. All
of its instruments are sources, and the target is one of them, or all for experiments that have many targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.corpora import CorpusError, RecordingsCorpus
from datamodules.corpora.corpus import unknown_instrument

CORPUS_KEY = "data.init_args.corpus"


def data_layer(folder: str | None, target: str | None, data: Mapping[str, Any]) -> dict[str, Any]:
    """Make the layer of a config that these two options stand for; an empty one without them.

    Args:
        folder: the recordings; ``None`` leaves the experiment's corpus.
        target: the instrument to play; ``None`` is the only one, or all where the experiment knows many.
        data: the experiment's own ``data.init_args``.

    Raises:
        CorpusError: there are no recordings, there is no such instrument, or one has to be chosen.
    """
    if folder is None:
        return {"data": {"init_args": {"target_instruments": [target]}}} if target else {}
    tracks = data.get("tracks") or ["monophonic"]
    root = str(Path(folder).expanduser())
    init_args = {"root": root, "track": "monophonic" if "monophonic" in tracks else tracks[0]}
    chosen = _chosen(root, target, RecordingsCorpus(**init_args).instruments, data)
    corpus = {"class_path": "datamodules.corpora.RecordingsCorpus", "init_args": init_args}
    instruments = {"source_instruments": None, "target_instruments": chosen}
    return {"data": {"init_args": {"corpus": corpus, **instruments}}}


def _chosen(
    root: str, target: str | None, known: tuple[str, ...], data: Mapping[str, Any]
) -> list[str] | None:
    if target is not None and target not in known:
        raise unknown_instrument(target, known, root)
    plays_one = len(data.get("target_instruments") or ()) == 1
    if target is None and plays_one and len(known) > 1:
        raise CorpusError(
            f"{root} has {', '.join(known)}, and this experiment plays one instrument: choose it with "
            f"--target, as in --target {known[0]}."
        )
    return [target] if target else [known[0]] if plays_one else None
