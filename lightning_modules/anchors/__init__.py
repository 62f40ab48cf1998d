"""Anchors: trivial transfers without training that every results table shows (see `modules`)."""

from lightning_modules.anchors.modules import (
    AnchorError,
    Copy,
    CopyReference,
    Equaliser,
    OraclePhase,
    OtherRecording,
    Silence,
    TargetPlusNoise,
    WrongNotes,
)

__all__ = [
    "AnchorError",
    "Copy",
    "CopyReference",
    "Equaliser",
    "OraclePhase",
    "OtherRecording",
    "Silence",
    "TargetPlusNoise",
    "WrongNotes",
]
