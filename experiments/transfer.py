"""Give recordings another timbre: ``python -m experiments.transfer --checkpoint RUN --input X --output Y``.

X is an audio file of any rate and length, or a folder of them; Y a WAV file, or a folder. The work is done,
and by default the result written, at the sample rate that the model was trained at.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runtime.arguments import CommandParser, Number, sample_rate_hz
from runtime.errors import UserError, is_meant_for_users, run_command
from runtime.messages import say
from runtime.paths import files_below, require_writable

if TYPE_CHECKING:
    from rich.progress import Progress

    from datamodules.audio.stored import StoredAudio
    from lightning_modules.audio_transfer import AudioTransfer
    from lightning_modules.transfer_module import TimbreTransferModule

CHUNK_S = 30.0
"""Seconds that are transferred at a time: their intermediate values need less than a gigabyte."""
PICTURE_S = 60.0
"""Seconds of a result that are drawn."""
seconds_of_chunk = Number(float, "a number of seconds, 2 or more", lambda value: value >= 2)


Advance = Callable[[float], None]
"""Is told how much has been done."""


class Recording(NamedTuple):
    """A file to transfer."""

    source: Path
    output: Path
    """The WAV file that its transfer is written to."""


def main(arguments: list[str] | None = None) -> int:
    """Transfer a file or the files of a folder; gives 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    if "?" in options.option:
        return _list_options(options)
    recordings = find_recordings(options.input, options.output)
    transfer = _load(options)
    failures = []
    with _progress() as progress:
        task = progress.add_task("Transferring", total=len(recordings))
        for number, recording in enumerate(recordings):
            failure = _attempt(transfer, recording, options, lambda share: progress.advance(task, share))
            failures += [failure] if failure else []
            progress.update(task, completed=number + 1)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    n_written, rate = len(recordings) - len(failures), _output_rate(transfer, options)
    say(f"Wrote {n_written} of {len(recordings)} at {rate} Hz.")
    return 1 if failures else 0


class TransferParser(CommandParser):
    """The parser of this command, which needs no files where options are asked for."""

    def parse_args(self, arguments: list[str] | None = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse the arguments; see `argparse.ArgumentParser.parse_args`."""
        options = super().parse_args(arguments)
        if "?" not in options.option and not (options.input and options.output):
            self.error("--input and --output are needed: what to transfer, and where to write it")
        return options


def _parser() -> CommandParser:
    parser = TransferParser(
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
    add("--input", type=Path, help="an audio file, or a folder that is searched for them")
    add("--output", type=Path, help="a WAV file, or a folder, which is made if it is missing")
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
        help="set an option of the model; --option '?' lists them with their ranges",
    )
    add("--sample-rate", type=sample_rate_hz, help="the result's sample rate in Hz (default: the model's)")
    add(
        "--chunk-s",
        type=seconds_of_chunk,
        default=CHUNK_S,
        help="how many seconds are transferred at a time, which bounds the memory; parts of long files are "
        "cross-faded (default: %(default)s)",
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
        UserError: there is nothing to read, or a result cannot be written, or would replace a source.
    """
    from datamodules.audio.files import AUDIO_SUFFIXES

    if not source.exists():
        raise UserError(f"The input {source} does not exist.")
    if not os.path.isdir(output):  # unlike Path.is_dir it takes names that are too long
        require_writable(output)
    if source.is_file():
        into_folder = output.is_dir() or not output.suffix
        found = [Recording(source, output / f"{source.stem}.wav" if into_folder else output)]
    elif output.suffix or output.is_file():
        raise UserError(f"The input {source} is a folder, so the output must be one too, not {output}.")
    else:
        files, left_out = files_below(source)
        for path, reason in left_out:
            say(f"{path} is left out: it is {reason}.")
        paths = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
        found = [
            Recording(path, output / f"{name}.wav")
            for path, name in zip(paths, _names(source, paths), strict=True)
        ]
    if not found:
        raise UserError(f"The folder {source} has no audio file in it ({', '.join(sorted(AUDIO_SUFFIXES))}).")
    _require_proper_outputs(found)
    return found


def _names(folder: Path, paths: list[Path]) -> list[str]:
    """Relative names without suffix; with it where two files would otherwise become one."""
    stems = [str(path.relative_to(folder).with_suffix("")) for path in paths]
    return [
        stem if stems.count(stem) == 1 else str(path.relative_to(folder))
        for stem, path in zip(stems, paths, strict=True)
    ]


def _require_proper_outputs(recordings: list[Recording]) -> None:
    sources = {recording.source.resolve() for recording in recordings}
    for output in [recording.output for recording in recordings]:
        if output.suffix.lower() != ".wav":
            raise UserError(f"The output {output} is no .wav file; results are written as WAV.")
        require_writable(output)
        if output.exists() and any(map(output.samefile, sources)):
            raise UserError(f"The output {output} would replace its source; choose another name.")


def _load(options: argparse.Namespace) -> AudioTransfer:
    from datamodules.audio.stored import store_audio
    from lightning_modules.audio_transfer import AudioTransfer, set_options

    module = _load_module(options)
    set_options(module, options.option)
    folder = Path(tempfile.gettempdir())
    references = [store_audio(path, module.sample_rate, folder)[0] for path in options.reference]
    return AudioTransfer(module, references, options.instrument, options.chunk_s)


def _load_module(options: argparse.Namespace) -> TimbreTransferModule:
    from callbacks.tracking import checkpoints

    device = usable_device(options.device)
    path = checkpoints.find(options.checkpoint, runs_dir=options.runs_dir)
    return checkpoints.load_module(path, (*checkpoints.TRUSTED, *options.trust)).to(device)


def _list_options(options: argparse.Namespace) -> int:
    from lightning_modules.audio_transfer import described_options

    print(described_options(_load_module(options)))
    return 0


def usable_device(name: str) -> str:
    """Give the name of a device back.

    Raises:
        UserError: this machine has no such device; names those it has.
    """
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] * torch.backends.mps.is_available()
    usable = {*there, *(device.partition(":")[0] for device in there)}
    if name not in usable:
        raise UserError(f"There is no device '{name}' here; there is {', '.join(there)}.")
    return name


def _output_rate(transfer: AudioTransfer, options: argparse.Namespace) -> int:
    return options.sample_rate or transfer.module.sample_rate


def _attempt(
    transfer: AudioTransfer, recording: Recording, options: argparse.Namespace, advance: Advance
) -> str | None:
    """Transfer a recording; gives a sentence if it failed and the others of its folder may go on."""
    import torch

    try:
        _transfer_file(transfer, recording, options, advance)
    except UserError as error:
        if recording.source == options.input:
            raise
        return str(error)
    except (MemoryError, torch.OutOfMemoryError):
        return f"{recording.source}: {options.chunk_s:g} s at a time need too much memory; use --chunk-s 5."
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


def _transfer_file(
    transfer: AudioTransfer, recording: Recording, options: argparse.Namespace, advance: Advance
) -> None:
    from datamodules.audio.stored import require_room_in_wav, store_audio, write_stored

    rate, output_rate = transfer.module.sample_rate, _output_rate(transfer, options)
    folder = recording.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    sources = store_audio(recording.source, rate, folder, mix=options.channels == "mix")
    require_room_in_wav(recording.source, len(sources), len(sources[0]) * output_rate / rate)
    n_samples = sum(map(len, sources))
    results = [
        _transferred(transfer, source, folder, lambda count: advance(count / n_samples)) for source in sources
    ]
    _warn_of_silence(recording, sources, results, rate)
    gain = _unclipping_gain(results, recording)
    write_stored(recording.output, results, rate, output_rate, gain)
    if options.picture:
        _draw(recording, sources[0], results[0], rate)


def _transferred(transfer: AudioTransfer, source: StoredAudio, folder: Path, advance: Advance) -> StoredAudio:
    from datamodules.audio.stored import StoredAudio

    result = StoredAudio(folder)
    for block in transfer(source):
        result.append(block)
        advance(len(block))
    return result


def _warn_of_silence(
    recording: Recording, sources: list[StoredAudio], results: list[StoredAudio], rate: int
) -> None:
    from datamodules.audio.levels import level_of

    if all(level_of(source, rate).is_silent for source in sources):
        say(f"Warning: {recording.source} is silent, and so is its transfer.")
    elif all(level_of(result, rate).is_silent for result in results):
        say(f"Warning: the transfer of {recording.source} is silent, and its source is not.")


def _unclipping_gain(results: list[StoredAudio], recording: Recording) -> float:
    """The gain that makes a result quieter where it is over full scale, which is said."""
    peak = max(result.peak for result in results)
    if peak <= 1.0:
        return 1.0
    say(f"{recording.output}: {20 * np.log10(peak):.1f} dB over full scale, made quieter by that.")
    return 1.0 / peak


def _draw(recording: Recording, source: StoredAudio, result: StoredAudio, rate: int) -> None:
    """Draw the beginnings of source and result beside each other."""
    from callbacks.plots.spectrograms import save_picture

    n_samples = round(PICTURE_S * rate)
    panels = {"source": source[:n_samples], "output": result[:n_samples]}
    save_picture(recording.output.with_suffix(".png"), panels, rate, recording.source.name)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True))


if __name__ == "__main__":
    run_command(main)
