"""The metrics as pure functions of outputs and targets; each is imported when it is first used."""

import lazy_loader

from metrics.registry import functions_below

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        **functions_below(__name__),
        "equaliser": ["equalised"],
        "notes": ["Notes", "track_notes"],
        "oracle": ["with_phase_of"],
        "spectra": ["mel_power_spectrogram", "mfcc", "power_spectrogram", "rms_normalized"],
    },
)
