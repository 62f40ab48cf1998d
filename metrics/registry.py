"""Every metric of the suite, once: what it is called, what it compares, how to read it, when it is measured.

The evaluation, the leaderboard, the objectives of sweeps, the names that ``from metrics import …`` finds and
the table of docs/metrics.md are made from `METRICS`. A new metric is a function and one entry here. This
module imports none of the functions, so that commands that only read results start at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import partial
from importlib import import_module
from typing import Any


class Side(Enum):
    """What an output is compared with; the value is the word for tables."""

    NOTES = "notes"
    """What has the wanted notes: the paired target, or the source where data is unpaired."""
    TIMBRE = "timbre"
    """What has the wanted timbre: the paired target, or the reference where data is unpaired."""
    TARGET = "target"
    """The paired target; the metric does not exist where data is unpaired."""
    SOURCE = "source"
    """The source: near zero, the output is a copy of it."""
    INSTRUMENT = "instrument"
    """The name of the target instrument."""
    EVERYTHING = "everything"
    """Source, target and reference together."""


class Needs(Enum):
    """What the function of a metric is called with."""

    AUDIO = "audio"
    """``(preds, other, sample_rate)``, audio of shape ``(B, T)``, gives ``(B,)``."""
    NOTES = "notes"
    """The same, and as fourth argument what hears the notes (`metrics.functional.notes.track_notes`)."""
    MELODY = "melody"
    """``(preds, other)``, a `datamodules.features.pitch.Pitch` each; on the monophonic track only."""
    TIMBRE_SPACE = "timbre space"
    """``(preds, other, space)``, audio and a `metrics.timbre_space.space.TimbreSpace`."""
    EMBEDDINGS = "embeddings"
    """``(preds, other)``, ``(W, 64)`` timbre embeddings of a whole set, gives one number for the set."""
    SCORES = "notes, timbre space"
    """What `metrics.evaluation.joint_scoring.joint_scores` measures."""


class Stage(IntEnum):
    """When a metric is measured; a later stage also measures what an earlier one does."""

    VALIDATION = 0
    """In every validation of a training."""
    SELECTION = 1
    """In a validation that chooses between trainings."""
    TEST = 2


HIGHER, LOWER, NEITHER = True, False, None
"""Which values of a metric are better."""


@dataclass(frozen=True)
class Metric:
    """A metric: which function gives it, and how to read it.

    Attributes:
        name: log name, as in ``test/<name>``.
        higher_is_better: `HIGHER`, `LOWER` or `NEITHER`.
        description: what it is, for tables.
        unit: its unit, or its range where it has none.
        caption: heads its column on the leaderboard; a metric without a caption has no column.
        stage: when it is measured first.
        function_name: of its function, where that is not called as the metric is.
        group: ``content``, ``timbre``, ``signal``, or ``joint`` for what ranks systems.
        module: the module of its function.
        compared_with: what the output is compared with.
        needs: what its function is called with.
        is_slow: whether it takes longer than all the quick ones together.
    """

    name: str
    higher_is_better: bool | None
    description: str
    unit: str = "0–1"
    caption: str = ""
    stage: Stage = Stage.TEST
    function_name: str = ""
    group: str = "signal"
    module: str = "metrics.functional.signal"
    compared_with: Side = Side.TARGET
    needs: Needs = Needs.AUDIO
    is_slow: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """The function that gives the metric, imported when it is asked for."""
        return getattr(import_module(self.module), self.function_name or self.name)

    @property
    def arrow(self) -> str:
        """``↑`` where higher is better, ``↓`` where lower is, else nothing."""
        return {HIGHER: "↑", LOWER: "↓", NEITHER: ""}[self.higher_is_better]


_joint = partial(
    Metric,
    stage=Stage.SELECTION,
    group="joint",
    module="metrics.evaluation.joint",
    compared_with=Side.EVERYTHING,
    needs=Needs.SCORES,
)
_content = partial(Metric, group="content", module="metrics.functional.content", compared_with=Side.NOTES)
_notes = partial(_content, stage=Stage.SELECTION, needs=Needs.NOTES)
_melody = partial(_content, module="metrics.functional.melody", needs=Needs.MELODY, is_slow=True)
_timbre = partial(Metric, group="timbre", module="metrics.functional.timbre", compared_with=Side.TIMBRE)
_learned = partial(
    _timbre, stage=Stage.SELECTION, module="metrics.timbre_space.space", needs=Needs.TIMBRE_SPACE
)
_sets = partial(
    _timbre,
    unit="",
    stage=Stage.SELECTION,
    module="metrics.functional.distributions",
    needs=Needs.EMBEDDINGS,
)
_waveform = partial(Metric, unit="dB", module="metrics.functional.waveform")
_level = partial(Metric, unit="dB", module="metrics.functional.level", stage=Stage.VALIDATION)
_rating = partial(Metric, unit="MOS", module="metrics.functional.perceptual", is_slow=True)


def _to_source(name: str) -> dict[str, Any]:
    """Arguments of a metric that compares with the source by the function of another metric."""
    return {
        "name": f"source_{name}",
        "function_name": name,
        "higher_is_better": NEITHER,
        "description": f"`{name}` to the source; near 0, the output is a copy",
        "stage": Stage.SELECTION,
        "compared_with": Side.SOURCE,
    }


JOINT_SCORE = "joint_score"
"""The metric that ranks systems."""

METRICS = {
    metric.name: metric
    for metric in (
        _joint(JOINT_SCORE, HIGHER, "Harmonic mean of the two scores below: ranks systems", caption="joint"),
        _joint("content_score", HIGHER, "Pitch JD as a place between unrelated notes (0) and the oracle (1)"),
        _joint("timbre_score", HIGHER, "How far from the source's timbre, times how near to the target's"),
        _notes("pitch_jaccard_distance", LOWER, "Share of pitches on one side only", caption="pitch JD"),
        _melody("raw_pitch_accuracy", HIGHER, "Share of frames right within 50 cents", caption="RPA"),
        _melody("raw_chroma_accuracy", HIGHER, "Share of frames right within 50 cents, in any octave"),
        _melody("voicing_recall", HIGHER, "Share of the wanted melody that sounds"),
        _melody("voicing_false_alarm", LOWER, "Share of the wanted rests in which a melody sounds"),
        _melody("f0_semitone_error", LOWER, "Mean distance of the two melodies (DDSP)", "semitones"),
        _melody("f0_outlier_share", LOWER, "Share of frames more than an octave off (DDSP)"),
        _content("chroma_cosine", HIGHER, "Cosine of pitch classes", "0–1", "chroma", Stage.VALIDATION),
        _notes("onset_f1", HIGHER, "F-measure of note onsets within 50 ms", caption="onset F1"),
        _timbre("mfcc_distance", LOWER, "Cosine distance of mean cepstra", "0–2", "MFCC", Stage.VALIDATION),
        _timbre("mfcc40_distance", LOWER, "The same with 40 cepstra", "0–2", stage=Stage.VALIDATION),
        _learned("triplet_timbre_distance", LOWER, "Cosine distance in the timbre space", caption="triplet"),
        _learned(
            "instrument_accuracy",
            HIGHER,
            "Whether a probe of the timbre space names the target instrument",
            caption="instr. acc",
            compared_with=Side.INSTRUMENT,
        ),
        _sets(
            "kad_triplet", LOWER, "Kernel audio distance of embeddings", function_name="kernel_audio_distance"
        ),
        _sets("frechet_triplet", LOWER, "Fréchet distance of embeddings", function_name="frechet_distance"),
        Metric("lsd_db", LOWER, "Log-spectral distance, RMS over frequency in each frame", "dB"),
        Metric("lsd_mel_db", LOWER, "Log-spectral distance of mel bands", "dB", "LSD mel", Stage.VALIDATION),
        Metric("mcd_db", LOWER, "Mel-cepstral distortion", "dB"),
        Metric("mcd_dtw_db", LOWER, "Mel-cepstral distortion after time warping", "dB", "MCD dtw"),
        Metric("mr_stft", LOWER, "Multi-resolution STFT distance", "", "MR-STFT", Stage.VALIDATION),
        Metric("spectrogram_l1", LOWER, "Mean difference of magnitudes", ""),
        Metric("wasserstein_bins", LOWER, "Wasserstein distance of the magnitudes that a bin takes", ""),
        Metric("wasserstein_spectrum", LOWER, "Wasserstein distance of mean spectra over frequency", "Hz"),
        _waveform("snr_db", HIGHER, "Signal-to-noise ratio; below zero for any other phase"),
        _waveform("sdr_db", HIGHER, "Signal-to-distortion ratio after the best short filter"),
        _waveform("si_sdr_db", HIGHER, "Signal-to-distortion ratio at the best gain"),
        _level("loudness_l1_db", LOWER, "Difference of A-weighted levels", caption="loudness"),
        _rating("pesq", HIGHER, "PESQ, made for coded speech"),
        _rating("visqol", HIGHER, "ViSQOL, made for coded audio", caption="ViSQOL"),
        _timbre(**_to_source("mfcc_distance"), unit="0–2"),
        _learned(**_to_source("triplet_timbre_distance")),
        Metric(**_to_source("lsd_mel_db"), unit="dB"),
    )
}
"""By name, in the order of tables."""


def measured_in(stage: Stage) -> list[Metric]:
    """The metrics that a stage measures."""
    return [metric for metric in METRICS.values() if metric.stage <= stage]


def columns() -> list[Metric]:
    """The metrics that the leaderboard shows."""
    return [metric for metric in METRICS.values() if metric.caption]


def functions_below(package: str) -> dict[str, list[str]]:
    """The names of the metrics' functions by their module below ``package``, as `lazy_loader` takes them."""
    found: dict[str, list[str]] = {}
    for metric in METRICS.values():
        if metric.module.startswith(f"{package}."):
            names = found.setdefault(metric.module.removeprefix(f"{package}."), [])
            names.append(metric.function_name or metric.name)
    return found


def as_markdown() -> str:
    """The table of all metrics for docs/metrics.md."""
    head = ("metric", "unit or range", "better", "compared with", "needs", "measured from", "what it is")
    rows = [
        (
            f"`{metric.name}`",
            metric.unit,
            metric.arrow,
            metric.compared_with.value,
            metric.needs.value,
            metric.stage.name.lower(),
            metric.description,
        )
        for metric in METRICS.values()
    ]
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
