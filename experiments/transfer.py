"""Give recordings another timbre: ``python -m experiments.transfer --checkpoint RUN --input X --output Y``.

X is an audio file of any rate and length, or a folder of them; Y a WAV file, or a folder. The work is done,
and by default the result written, at the sample rate the model was trained at.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runtime.errors import UserError, nearest, run_command

if TYPE_CHECKING:
    from lightning_modules.transfer_module import TimbreTransferModule

OVERLAP_S = 1.0
"""Cross-fade between the chunks of a long file."""


class Job(NamedTuple):
    """One file to transfer."""

    source: Path
    output: Path


def main(arguments: list[str] | None = None) -> int:
    """Transfer a file or a folder; 1 if a file of a folder failed."""
    options = _parser().parse_args(arguments)
    jobs = find_jobs(options.input, options.output)
    player = Player.from_options(options)
    failures = [failure for job in _with_progress(jobs) if (failure := _attempt(player, job, len(jobs) == 1))]
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    print(f"Wrote {len(jobs) - len(failures)} of {len(jobs)} at {player.output_rate} Hz.", file=sys.stderr)
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
        help="run name, run folder, MLflow run id, experiment name, .ckpt file, or models:/NAME@ALIAS of "
        "MLflow's model registry (models:/ddsp@best; also just ddsp where there is no such experiment)",
    )
    add("--input", required=True, type=Path, help="audio file or folder")
    add("--output", required=True, type=Path, help="WAV file, or a folder (made where it is missing)")
    add(
        "--reference",
        action="append",
        default=[],
        type=Path,
        help="audio that shows the wanted timbre, for one-shot models; some average several of them",
    )
    add("--instrument", help="wanted instrument, for models that know several")
    add("--channels", choices=["mix", "each"], default="mix", help="mix to mono, or transfer each channel")
    add(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a knob of the model; ? lists them",
    )
    add("--sample-rate", type=int, help="rate of the result in Hz (default: the model's)")
    add(
        "--chunk-s",
        type=float,
        help="transfer in chunks of so many seconds, each adapted alone, to bound memory on long files",
    )
    add("--picture", action="store_true", help="also draw spectrograms beside the result")
    add("--device", default="cpu", help="cpu, cuda, … (default: %(default)s)")
    add("--runs_dir", default="runs", help="where the folders of runs are (default: %(default)s)")
    add(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="package a checkpoint may name classes of",
    )
    return parser


def find_jobs(source: Path, output: Path) -> list[Job]:
    """What to read and where to write it. A folder is searched through, its structure kept.

    Raises:
        UserError: nothing to read, or the result would replace its source.
    """
    from datamodules.audio.files import AUDIO_SUFFIXES

    if not source.exists():
        raise UserError(f"The input {source} does not exist.")
    if source.is_file():
        into_folder = output.is_dir() or not output.suffix
        jobs = [Job(source, output / f"{source.stem}.wav" if into_folder else output)]
    elif output.suffix or output.is_file():
        raise UserError(f"The input {source} is a folder, so the output must be one too, not {output}.")
    else:
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        # The suffix stays in the name where two files would otherwise become one.
        stems = [path.relative_to(source).with_suffix("") for path in files]
        names = [
            str(s) if stems.count(s) == 1 else str(p.relative_to(source))
            for s, p in zip(stems, files, strict=True)
        ]
        jobs = [Job(path, output / f"{name}.wav") for path, name in zip(files, names, strict=True)]
    if not jobs:
        raise UserError(f"The folder {source} has no audio file in it ({', '.join(sorted(AUDIO_SUFFIXES))}).")
    for job in jobs:
        _require_writable(job)
    return jobs


def _require_writable(job: Job) -> None:
    if job.output.suffix.lower() != ".wav":
        raise UserError(f"The output {job.output} is no .wav file; results are written as WAV.")
    if job.output.resolve() == job.source.resolve():
        raise UserError(f"The output {job.output} would replace its source; choose another name.")


class Player:
    """A trained module and how it is to be used.

    Args:
        module: the transfer.
        references: ``(R,)`` audio at the module's rate each; more than one for modules that average them.
        instrument: id of the wanted instrument, or ``None``.
        channels: ``mix`` or ``each``.
        output_rate: of the files written, in Hz; default the module's.
        chunk_s: seconds of audio at a time; ``None`` for all at once.
        picture: whether to draw spectrograms.
    """

    def __init__(
        self,
        module: TimbreTransferModule,
        references: Sequence[np.ndarray] = (),
        instrument: int | None = None,
        channels: str = "mix",
        output_rate: int | None = None,
        chunk_s: float | None = None,
        picture: bool = False,
    ) -> None:
        if len(references) > 1 and not module.averages_references:
            raise UserError(
                f"{type(module).__name__} plays what one reference plays, and was given {len(references)}: "
                "give --reference once."
            )
        self.module = module
        self.references = list(references)
        self.instrument = instrument
        self.channels = channels
        self.output_rate = output_rate or module.sample_rate
        self.chunk_s = chunk_s
        self.picture = picture

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Player:
        """Load what the command line asks for."""
        from callbacks.tracking import checkpoints
        from datamodules.audio.files import read_audio

        path = checkpoints.find(options.checkpoint, runs_dir=options.runs_dir)
        module = checkpoints.load_module(path, (*checkpoints.TRUSTED, *options.trust)).to(options.device)
        set_options(module, options.option)
        references = [read_audio(path, module.sample_rate)[0] for path in options.reference]
        instrument = instrument_id(module, options.instrument)
        return cls(
            module,
            references,
            instrument,
            options.channels,
            options.sample_rate,
            options.chunk_s,
            options.picture,
        )

    def play(self, job: Job) -> None:
        """Transfer one file."""
        from datamodules.audio.files import read_audio, write_wav

        rate = self.module.sample_rate
        audio, _ = read_audio(job.source, rate, "mix" if self.channels == "mix" else "keep")
        result = self.transfer(np.atleast_2d(audio))
        write_wav(job.output, _resampled(_unclipped(result, job), rate, self.output_rate), self.output_rate)
        if self.picture:
            from callbacks.plots.spectrograms import save_picture

            panels = {"source": np.atleast_2d(audio)[0], "output": result[0]}
            save_picture(job.output.with_suffix(".png"), panels, rate, job.source.name)

    def transfer(self, audio: np.ndarray) -> np.ndarray:
        """Transfer ``(C, T)`` audio at the module's rate; returns ``(C, T)``."""
        chunk = int((self.chunk_s or 0) * self.module.sample_rate)
        if not chunk or audio.shape[1] <= chunk:
            return self._transfer(audio)
        overlap = min(int(OVERLAP_S * self.module.sample_rate), chunk // 2)
        return cross_faded(self._transfer, audio, chunk, overlap)

    def _transfer(self, audio: np.ndarray) -> np.ndarray:
        import torch

        source = torch.from_numpy(np.ascontiguousarray(audio)).to(self.module.device)
        heard = [torch.from_numpy(one).to(source).expand(len(source), -1) for one in self.references]
        reference: Any = heard if len(heard) > 1 else next(iter(heard), None)
        wanted = None
        if self.instrument is not None:
            wanted = torch.full((len(source),), self.instrument, device=source.device)
        with torch.inference_mode():
            return self.module.transfer(source, reference, wanted).float().cpu().numpy()


def cross_faded(transfer: Any, audio: np.ndarray, chunk: int, overlap: int) -> np.ndarray:
    """Apply ``transfer`` to overlapping chunks of ``(C, T)`` audio and join them with linear fades.

    Args:
        transfer: ``(C, T)`` → ``(C, T)`` for any ``T``.
        audio: ``(C, T)``.
        chunk: samples a chunk.
        overlap: samples that neighbours share, below ``chunk``.
    """
    n_samples = audio.shape[1]
    result = np.zeros_like(audio)
    for start in range(0, max(n_samples - overlap, 1), chunk - overlap):
        part = transfer(audio[:, start : start + chunk])
        fade = np.ones(part.shape[1], dtype=audio.dtype)
        ramp = np.linspace(0, 1, min(overlap, part.shape[1]), dtype=audio.dtype)
        if start > 0:
            fade[: len(ramp)] = ramp
        if start + chunk < n_samples:
            fade[-len(ramp) :] = ramp[::-1]
        result[:, start : start + chunk] += fade * part
    return result


def set_options(module: TimbreTransferModule, pairs: list[str]) -> None:
    """Set fields of the module's ``adaptation``, a dataclass: how a source is fitted at transfer time.

    Args:
        module: whose ``adaptation`` to change; models without one have no options.
        pairs: ``name=value`` each; ``?`` lists the names.

    Raises:
        UserError: an unknown name, or a value of another type.
    """
    adaptation = module.adaptation
    fields = dataclasses.fields(adaptation) if adaptation else ()
    known = {field.name: getattr(adaptation, field.name) for field in fields}
    listing = ", ".join(f"{name} (now {value})" for name, value in known.items()) or "none"
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            kind = type(module).__name__
            raise UserError(f"{kind} has no option '{name}'.{nearest(name, known)} Its options: {listing}.")
        setattr(adaptation, name, _parsed(name, text, known[name]))


def _parsed(name: str, text: str, now: Any) -> Any:
    """``text`` as the type of the present value."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()] if isinstance(now, bool) else type(now)(text)
    except (KeyError, ValueError):
        kind = type(now).__name__
        raise UserError(f"--option {name}={text}: the value must be a {kind}, for example {now}.") from None


def instrument_id(module: TimbreTransferModule, name: str | None) -> int | None:
    """The id of an instrument of the module.

    Raises:
        UserError: the module does not know it.
    """
    if name is None:
        return None
    if name not in module.instruments:
        known = ", ".join(module.instruments)
        raise UserError(
            f"The model knows no instrument '{name}'.{nearest(name, module.instruments)} It knows {known}."
        )
    return module.instruments.index(name)


def _attempt(player: Player, job: Job, alone: bool) -> str | None:
    """Play ``job``. In a folder a bad file is reported at the end; alone it ends the command."""
    from datamodules.audio.files import AudioFileError

    try:
        player.play(job)
    except (AudioFileError, ValueError) as error:
        if alone:
            raise UserError(str(error)) from error
        return str(error)
    except MemoryError:
        return f"{job.source} is too long to transfer at once in this machine's memory; use --chunk-s 60."
    return None


def _unclipped(result: np.ndarray, job: Job) -> np.ndarray:
    peak = float(np.abs(result).max(initial=0.0))
    if peak <= 1.0:
        return result
    print(
        f"{job.output}: {20 * np.log10(peak):.1f} dB over full scale, made quieter by that.", file=sys.stderr
    )
    return result / peak


def _resampled(audio: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return audio
    import soxr

    return soxr.resample(audio.T, rate, wanted).T


def _with_progress(jobs: list[Job]) -> Iterator[Job]:
    from rich.console import Console
    from rich.progress import track

    yield from track(jobs, "Transferring", console=Console(stderr=True), disable=len(jobs) == 1)


if __name__ == "__main__":
    run_command(main)
