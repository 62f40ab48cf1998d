"""``--recordings FOLDER --target NAME``: any experiment on a folder of one's own recordings.

The folder has a folder of audio files for each instrument; `RecordingsCorpus` says what else it may hold. All
of its instruments are sources, and the target is one of them, or all for experiments that have many targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.corpora import CorpusError, RecordingsCorpus
from datamodules.corpora.corpus import unknown_instrument

CORPUS_KEY = "data.init_args.corpus"
NEEDS_TARGETS, NEEDS_NONE = "val/mr_stft", "val/mfcc_distance"
"""The usual metric of the best checkpoint, and the one that transfers between recordings have, too."""


def layer_of(folder: str | None, target: str | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """Make the layer of a config that these two options stand for.

    Args:
        folder: the recordings; ``None`` leaves the experiment's corpus.
        target: the instrument to play; ``None`` is the only one, or all where the experiment knows many.
        config: the experiment's own values.

    Raises:
        CorpusError: there are no recordings, there is no such instrument, or one has to be chosen.
    """
    if folder is None:
        return {"data": {"init_args": {"target_instruments": [target]}}}
    data = config.get("data", {}).get("init_args", {})
    tracks = data.get("tracks") or ["monophonic"]
    root = str(Path(folder).expanduser())
    track = "monophonic" if "monophonic" in tracks else tracks[0]
    known = RecordingsCorpus(root, track=track).instruments
    of_corpus = {"root": root, "track": track}
    plays_one = len(data.get("target_instruments") or ()) == 1
    layer: dict[str, Any] = {
        "data": {
            "init_args": {
                "corpus": {"class_path": "datamodules.corpora.RecordingsCorpus", "init_args": of_corpus},
                "source_instruments": None,
                "target_instruments": _targets(root, target, known, plays_one),
            }
        }
    }
    if config.get("checkpoint", {}).get("monitor") == NEEDS_TARGETS:
        layer["checkpoint"] = {"monitor": NEEDS_NONE}
    return layer


def _targets(root: str, target: str | None, known: Sequence[str], plays_one: bool) -> list[str] | None:
    if target is not None and target not in known:
        raise unknown_instrument(target, known, root)
    if target is None and plays_one and len(known) > 1:
        raise CorpusError(
            f"{root} has {', '.join(known)}, and this experiment plays one instrument: choose it with "
            f"--target, as in --target {known[0]}."
        )
    return [target] if target else [known[0]] if plays_one else None
