"""Give recordings another timbre: ``python -m experiments.transfer --checkpoint RUN --input X --output Y``.

X is an audio file of any rate and length, or a folder of them; Y a WAV file, or a folder. The work is done,
and by default the result written, at the sample rate that the model was trained at.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runtime.errors import UserError, is_meant_for_users, run_command

if TYPE_CHECKING:
    from lightning_modules.audio_transfer import AudioTransfer


class Recording(NamedTuple):
    """A file to transfer."""

    source: Path
    output: Path
    """The WAV file that its transfer is written to."""


def main(arguments: list[str] | None = None) -> int:
    """Transfer a file or the files of a folder; gives 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    recordings = find_recordings(options.input, options.output)
    transfer = _load(options)
    failures = [
        failure for one in _with_progress(recordings) if (failure := _attempt(transfer, one, options))
    ]
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    n_written, rate = len(recordings) - len(failures), _output_rate(transfer, options)
    print(f"Wrote {n_written} of {len(recordings)} at {rate} Hz.", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m experiments.transfer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        required=True,
        help="the trained model: a run's name, folder or MLflow id, an experiment's name, a .ckpt file, or "
        "models:/NAME@ALIAS in MLflow's model registry (models:/ddsp@best; ddsp alone means this too, where "
        "no experiment has the name)",
    )
    add("--input", required=True, type=Path, help="an audio file, or a folder that is searched for them")
    add("--output", required=True, type=Path, help="a WAV file, or a folder, which is made if it is missing")
    add(
        "--reference",
        action="append",
        default=[],
        type=Path,
        help="audio with the wanted timbre, for one-shot models; repeat it for models that average several",
    )
    add("--instrument", help="the wanted instrument, for models that know several")
    add(
        "--channels",
        choices=["mix", "each"],
        default="mix",
        help="whether to mix the channels to mono or to transfer each of them (default: %(default)s)",
    )
    add(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of the model; --option ? lists them",
    )
    add("--sample-rate", type=int, help="the result's sample rate in Hz (default: the model's)")
    add(
        "--chunk-s",
        type=float,
        help="transfer so many seconds at a time, each adapted by itself, to bound the memory for long files",
    )
    add("--picture", action="store_true", help="also draw the spectrograms, beside the result")
    add("--device", default="cpu", help="the device to compute on: cpu, cuda, … (default: %(default)s)")
    add("--runs_dir", default="runs", help="the folder of all runs (default: %(default)s)")
    add(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package of your own whose classes the checkpoint may name",
    )
    add("--debug", action="store_true", help="end with the traceback of the first unexpected error")
    return parser


def find_recordings(source: Path, output: Path) -> list[Recording]:
    """Find what to read and where to write it. A folder is searched through, and its structure kept.

    Raises:
        UserError: there is nothing to read, or the result would replace its source.
    """
    from datamodules.audio.files import AUDIO_SUFFIXES

    if not source.exists():
        raise UserError(f"The input {source} does not exist.")
    if source.is_file():
        into_folder = output.is_dir() or not output.suffix
        found = [Recording(source, output / f"{source.stem}.wav" if into_folder else output)]
    elif output.suffix or output.is_file():
        raise UserError(f"The input {source} is a folder, so the output must be one too, not {output}.")
    else:
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        found = [
            Recording(path, output / f"{name}.wav")
            for path, name in zip(paths, _names(source, paths), strict=True)
        ]
    if not found:
        raise UserError(f"The folder {source} has no audio file in it ({', '.join(sorted(AUDIO_SUFFIXES))}).")
    for recording in found:
        _require_writable(recording)
    return found


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """Relative names without suffix; with it where two files would otherwise become one."""
    stems = [str(path.relative_to(folder).with_suffix("")) for path in paths]
    return [
        stem if stems.count(stem) == 1 else str(path.relative_to(folder))
        for stem, path in zip(stems, paths, strict=True)
    ]


def _require_writable(recording: Recording) -> None:
    if recording.output.suffix.lower() != ".wav":
        raise UserError(f"The output {recording.output} is no .wav file; results are written as WAV.")
    if recording.output.resolve() == recording.source.resolve():
        raise UserError(f"The output {recording.output} would replace its source; choose another name.")


def _load(options: argparse.Namespace) -> AudioTransfer:
    from callbacks.tracking import checkpoints
    from datamodules.audio.files import read_audio
    from lightning_modules.audio_transfer import AudioTransfer, set_options

    path = checkpoints.find(options.checkpoint, runs_dir=options.runs_dir)
    module = checkpoints.load_module(path, (*checkpoints.TRUSTED, *options.trust)).to(options.device)
    set_options(module, options.option)
    references = [read_audio(path, module.sample_rate)[0] for path in options.reference]
    return AudioTransfer(module, references, options.instrument, options.chunk_s)


def _output_rate(transfer: AudioTransfer, options: argparse.Namespace) -> int:
    return options.sample_rate or transfer.module.sample_rate


def _attempt(transfer: AudioTransfer, recording: Recording, options: argparse.Namespace) -> str | None:
    """Transfer a recording; gives a sentence if it failed and the others of its folder may go on."""
    import torch

    try:
        _transfer_file(transfer, recording, options)
    except UserError as error:
        if recording.source == options.input:
            raise
        return str(error)
    except (MemoryError, torch.OutOfMemoryError):
        return (
            f"{recording.source} is too long to transfer at once in this machine's memory; use --chunk-s 60."
        )
    except Exception as error:
        if options.debug or is_meant_for_users(error):  # such as a full disk, which ends all of them
            raise
        return _with_traceback(recording, error)
    return None


def _with_traceback(recording: Recording, error: Exception) -> str:
    """Write the traceback of an unexpected error into a log file; gives the sentence that names it."""
    log = recording.output.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    what = "".join(traceback.format_exception_only(error)).splitlines()[0]
    return f"{recording.source} could not be transferred: {what} (the traceback is in {log})"


def _transfer_file(transfer: AudioTransfer, recording: Recording, options: argparse.Namespace) -> None:
    from datamodules.audio.files import read_audio, write_wav

    rate, output_rate = transfer.module.sample_rate, _output_rate(transfer, options)
    audio, _ = read_audio(recording.source, rate, "mix" if options.channels == "mix" else "keep")
    source = np.atleast_2d(audio)
    result = transfer(source)
    write_wav(recording.output, _resampled(_unclipped(result, recording), rate, output_rate), output_rate)
    if options.picture:
        from callbacks.plots.spectrograms import save_picture

        panels = {"source": source[0], "output": result[0]}
        save_picture(recording.output.with_suffix(".png"), panels, rate, recording.source.name)


def _unclipped(result: np.ndarray, recording: Recording) -> np.ndarray:
    """The result, made quieter where it is over full scale, which is said."""
    peak = float(np.abs(result).max(initial=0.0))
    if peak <= 1.0:
        return result
    over_db = 20 * np.log10(peak)
    print(f"{recording.output}: {over_db:.1f} dB over full scale, made quieter by that.", file=sys.stderr)
    return result / peak


def _resampled(audio: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return audio
    import soxr

    return soxr.resample(audio.T, rate, wanted).T


def _with_progress(recordings: list[Recording]) -> Iterator[Recording]:
    from rich.console import Console
    from rich.progress import track

    hidden = len(recordings) == 1
    yield from track(recordings, "Transferring", console=Console(stderr=True), disable=hidden)


if __name__ == "__main__":
    run_command(main)
