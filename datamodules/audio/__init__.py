"""Reading, writing and resampling of audio, and its levels."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["AudioFileError", "read_audio", "resampled", "write_wav"],
        "levels": ["a_weighting", "loudness_frames_db", "mean_loudness_db"],
    },
)

if TYPE_CHECKING:
    from datamodules.audio.files import AudioFileError, read_audio, resampled, write_wav
    from datamodules.audio.levels import a_weighting, loudness_frames_db, mean_loudness_db
