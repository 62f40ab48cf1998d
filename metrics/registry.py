"""What every metric of a test is: its group, its unit and which way is better. Names are log names."""

from __future__ import annotations

from typing import NamedTuple


class Description(NamedTuple):
    """How to read a metric."""

    name: str
    group: str
    """``content``, ``timbre``, ``signal``, or ``joint`` for what ranks systems."""
    unit: str
    """Empty where it has none."""
    higher_is_better: bool
    of_source: bool = False
    """Measured against the source: it shows copying, and neither direction is better."""


DESCRIPTIONS = {
    description.name: description
    for description in (
        Description("joint_score", "joint", "", True),
        Description("content_score", "joint", "", True),
        Description("timbre_score", "joint", "", True),
        Description("pitch_jaccard_distance", "content", "", False),
        Description("raw_pitch_accuracy", "content", "", True),
        Description("raw_chroma_accuracy", "content", "", True),
        Description("voicing_recall", "content", "", True),
        Description("voicing_false_alarm", "content", "", False),
        Description("f0_semitone_error", "content", "semitones", False),
        Description("f0_outlier_share", "content", "", False),
        Description("chroma_cosine", "content", "", True),
        Description("onset_f1", "content", "", True),
        Description("mfcc_distance", "timbre", "", False),
        Description("triplet_timbre_distance", "timbre", "", False),
        Description("instrument_accuracy", "timbre", "", True),
        Description("kad_triplet", "timbre", "", False),
        Description("source_mfcc_distance", "timbre", "", True, of_source=True),
        Description("source_triplet_timbre_distance", "timbre", "", True, of_source=True),
        Description("lsd_db", "signal", "dB", False),
        Description("lsd_mel_db", "signal", "dB", False),
        Description("mcd_db", "signal", "dB", False),
        Description("mcd_dtw_db", "signal", "dB", False),
        Description("mr_stft", "signal", "", False),
        Description("spectrogram_l1", "signal", "", False),
        Description("wasserstein_bins", "signal", "", False),
        Description("wasserstein_spectrum", "signal", "Hz", False),
        Description("snr_db", "signal", "dB", True),
        Description("sdr_db", "signal", "dB", True),
        Description("si_sdr_db", "signal", "dB", True),
        Description("loudness_l1_db", "signal", "dB", False),
        Description("pesq", "signal", "MOS", True),
        Description("visqol", "signal", "MOS", True),
        Description("source_lsd_mel_db", "signal", "dB", True, of_source=True),
    )
}
"""By name. The Fréchet distance is missing, for its name holds a count (``frechet_triplet_<n>_windows``)."""
