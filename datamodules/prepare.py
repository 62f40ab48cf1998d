"""Build, inspect and check corpora: ``python -m datamodules.prepare``.

Only light imports up here: ``--help`` answers at once, and workers start quickly.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datamodules.banks.soundfont import Bank
    from datamodules.corpora.building import CorpusSource
    from datamodules.corpora.corpus import Corpus
    from datamodules.scores.source import ScoreSource

EXAMPLES = """examples:
  python -m datamodules.prepare rendered --size demo
      tunes and chorales that come with the installation, on eight instruments of the embedded SoundFont
  python -m datamodules.prepare rendered --midi ~/maestro --excerpts 10 --soundfont ~/FluidR3_GM.sf2
      your MIDI files, played by your SoundFont
  python -m datamodules.prepare rendered --midi ~/midi --nsynth ~/nsynth-train --duration-rate 2
      your MIDI files, put together from the notes of NSynth
  python -m datamodules.prepare recordings ~/takes --track monophonic
      ~/takes/<instrument>/* or ~/takes/{train,val,test}/<instrument>/*
  python -m datamodules.prepare inspect
      what every corpus holds: splits, instruments, minutes, licences, what was skipped and why
  python -m datamodules.prepare inspect --traces --variety variety.png corpora/rendered-0123456789abcdef
      what its files are like, by split and instrument, and a map on which files that sound alike are near
  python -m datamodules.prepare verify corpora/rendered-0123456789abcdef
      read every file and compare it with its checksum

The same request always leads to the same folder: asking again finds the corpus, or resumes an interrupted
build, or makes damaged files anew. Training does this by itself; preparing first is only a convenience.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; what a user can cause is one sentence on standard error."""
    options = parser().parse_args(arguments)
    from datamodules.audio.files import AudioFileError
    from datamodules.corpora.corpus import CorpusError

    try:
        code: int = options.command(options)
        return code
    except (CorpusError, AudioFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("Stopped. What is ready is kept: the same command goes on from there.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m datamodules.prepare",
        description="Build, inspect and check the corpora that experiments train on.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_rendered(commands.add_parser("rendered", help="scores played on every instrument, sample-aligned"))
    _add_recordings(commands.add_parser("recordings", help="folders of recordings, one per instrument"))
    show = commands.add_parser("inspect", help="what corpora hold")
    show.add_argument("--format", choices=("table", "json"), default="table", help="json prints one document")
    show.add_argument("--traces", action="store_true", help="measure every file: level, rests, brightness …")
    show.add_argument("--variety", type=Path, metavar="PNG", help="draw a map of how files sound (t-SNE)")
    show.set_defaults(command=_inspect)
    check = commands.add_parser("verify", help="compare every file with its checksum")
    check.add_argument(
        "--discard", action="store_true", help="delete damaged files: the next build makes them"
    )
    check.set_defaults(command=_verify)
    for command in (show, check):
        command.add_argument("corpora", nargs="*", type=Path, metavar="CORPUS", help="folders; default: all")
        command.add_argument(
            "--corpora-dir", type=Path, default=Path("corpora"), help="where all corpora are"
        )
    return top


def _add_building(command: argparse.ArgumentParser) -> None:
    command.add_argument("--instruments", nargs="+", metavar="NAME", help="default: all usual ones there are")
    command.add_argument("--sample-rate", type=int, default=16000, metavar="HZ", help="default: %(default)s")
    command.add_argument("--corpora-dir", type=Path, default=Path("corpora"), help="default: %(default)s")
    command.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_rendered(command: argparse.ArgumentParser) -> None:
    scores = command.add_argument_group("scores")
    scores.add_argument("--size", help="of the embedded scores: tiny, demo, default or full")
    scores.add_argument("--midi", type=Path, metavar="FOLDER", help="MIDI files, instead of embedded scores")
    scores.add_argument("--seconds", type=float, help="length of an excerpt")
    scores.add_argument("--excerpts", type=int, help="excerpts of one MIDI file, at most")
    scores.add_argument("--tracks", nargs="+", metavar="TRACK", help="monophonic, polyphonic; default: both")
    sounds = command.add_argument_group("sounds")
    sounds.add_argument("--soundfont", type=Path, metavar="FILE", help=".sf2, or .sf3 with --fluidsynth")
    sounds.add_argument(
        "--fluidsynth", action="store_true", help="render with FluidSynth (must be installed)"
    )
    sounds.add_argument("--nsynth", type=Path, metavar="FOLDER", help="NSynth notes, instead of a SoundFont")
    sounds.add_argument("--preset", type=int, help="number of the NSynth instrument; default: the lowest")
    sounds.add_argument("--quality", help="only NSynth notes with this quality, such as bright")
    sounds.add_argument("--elsewhere", type=Path, metavar="PATH", help="second SoundFont or NSynth, for test")
    play = command.add_argument_group("performance")
    play.add_argument("--playback-speed", type=float, metavar="X", help="factor on the tempo")
    play.add_argument("--duration-rate", type=float, metavar="X", help="factor on the length of notes")
    play.add_argument("--transpose", type=int, metavar="N", help="semitones")
    play.add_argument("--random-semitones", type=int, metavar="N", help="varied: moved by up to so many")
    play.add_argument(
        "--random-tempo", type=float, nargs=2, metavar=("LOW", "HIGH"), help="varied: tempo factors"
    )
    play.add_argument(
        "--renditions",
        type=int,
        metavar="N",
        help="times a training piece is played: as written, then varied; default: 1",
    )
    play.add_argument("--seed", type=int, help="decides what is random")
    _add_building(command)
    command.set_defaults(command=_build, source=_rendered)


def _add_recordings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "root", type=Path, help="<root>/<instrument>/* or <root>/{train,val,test}/<instrument>/*"
    )
    command.add_argument("--track", help="monophonic (default) or polyphonic: what is played")
    command.add_argument(
        "--keep-channels", action="store_true", help="every channel by itself, not their mix"
    )
    command.add_argument(
        "--part-s", type=float, metavar="S", help="longer recordings are cut into equal parts"
    )
    command.add_argument("--licence", help="what the manifest says about the recordings")
    _add_building(command)
    command.set_defaults(command=_build, source=_recordings)


def _given(**options: object) -> dict:
    """Only what the user gave: all else keeps the defaults of the classes, and so the address."""
    return {name: value for name, value in options.items() if value is not None}


def _rendered(options: argparse.Namespace) -> CorpusSource:
    from datamodules.corpora.rendering import RenderedCorpus
    from datamodules.scores.performance import Performance

    performance = Performance(
        **_given(
            playback_speed=options.playback_speed,
            duration_rate=options.duration_rate,
            transpose=options.transpose,
            random_semitones=options.random_semitones,
            random_tempo=options.random_tempo and tuple(options.random_tempo),
        )
    )
    bank = _bank(options)
    elsewhere = options.elsewhere and _bank_at(options.elsewhere)
    chosen = _given(
        instruments=options.instruments or (list(bank.instruments) if options.nsynth else None),
        tracks=options.tracks,
        renditions=options.renditions,
        seed=options.seed,
    )
    return RenderedCorpus(_scores(options), bank, elsewhere=elsewhere, performance=performance, **chosen)


def _scores(options: argparse.Namespace) -> ScoreSource:
    from datamodules.corpora.corpus import CorpusError
    from datamodules.scores.midi_folder import EmbeddedScores, MidiFolder

    if options.midi is None:
        if options.excerpts is not None:
            raise CorpusError("--excerpts is for MIDI files; give their folder with --midi.")
        return EmbeddedScores(**_given(size=options.size, seconds=options.seconds))
    if options.size is not None:
        raise CorpusError("--size is for the embedded scores and --midi replaces them; give one of the two.")
    return MidiFolder(options.midi, **_given(seconds=options.seconds, excerpts=options.excerpts))


def _bank(options: argparse.Namespace) -> Bank:
    from datamodules.banks.nsynth import NSynthBank
    from datamodules.banks.soundfont import FluidSynthBank, SoundFontBank
    from datamodules.corpora.corpus import CorpusError

    if options.nsynth is None:
        return (FluidSynthBank if options.fluidsynth else SoundFontBank)(options.soundfont)
    if options.soundfont is not None:
        raise CorpusError("--soundfont and --nsynth are two banks; give one, the other may be --elsewhere.")
    return NSynthBank(options.nsynth, preset=options.preset, quality=options.quality)


def _bank_at(path: Path) -> Bank:
    from datamodules.banks.nsynth import NSynthBank
    from datamodules.banks.soundfont import FluidSynthBank, SoundFontBank

    if path.is_dir():
        return NSynthBank(path)
    return FluidSynthBank(path) if path.suffix.lower() == ".sf3" else SoundFontBank(path)


def _recordings(options: argparse.Namespace) -> CorpusSource:
    from datamodules.corpora.recordings import RecordingsCorpus

    chosen = _given(
        instruments=options.instruments, track=options.track, part_s=options.part_s, licence=options.licence
    )
    return RecordingsCorpus(options.root, mix_channels=not options.keep_channels, **chosen)


def _build(options: argparse.Namespace) -> int:
    source: CorpusSource = options.source(options)
    corpus = source.prepare(options.corpora_dir, options.sample_rate, options.workers, not options.quiet)
    print(corpus.root)
    if not options.quiet:
        from datamodules.corpora.inspection import print_overview

        print_overview(corpus)
    return 0


def _opened(options: argparse.Namespace) -> list[Corpus]:
    from datamodules.corpora.corpus import Corpus, CorpusError
    from datamodules.corpora.inspection import corpora_in

    corpora = [Corpus.open(path) for path in options.corpora] or corpora_in(options.corpora_dir)
    if not corpora:
        raise CorpusError(
            f"{options.corpora_dir} holds no complete corpus; build one with the command 'rendered'."
        )
    return corpora


def _inspect(options: argparse.Namespace) -> int:
    from datamodules.corpora.corpus import CorpusError
    from datamodules.corpora.inspection import description, print_overview, print_traces
    from datamodules.corpora.traces import by_instrument, measured, save_variety

    corpora = _opened(options)
    if options.variety and len(corpora) > 1:
        raise CorpusError("--variety draws one corpus; name the one of the folders that you mean.")
    documents = []
    for corpus in corpora:
        files = measured(corpus, corpus.items) if options.traces or options.variety else []
        if options.variety:
            save_variety(options.variety, files)
        documents.append(description(corpus, by_instrument(files)))
        if options.format == "table":
            print_overview(corpus)
            if options.traces:
                print_traces(by_instrument(files))
    if options.format == "json":
        print(json.dumps(documents, indent=2, ensure_ascii=False))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from datamodules.corpora.inspection import damaged_files

    n_damaged = 0
    for corpus in _opened(options):
        damaged = list(damaged_files(corpus))
        n_damaged += len(damaged)
        for path in damaged:
            print(f"damaged or missing: {path}")
            if options.discard:
                path.unlink(missing_ok=True)
        print(f"{corpus.root}: {len(corpus.items) - len(damaged)} of {len(corpus.items)} files are intact")
    if n_damaged and not options.discard:
        print("Run it with --discard, then prepare again: damaged files are made anew.", file=sys.stderr)
    return 1 if n_damaged else 0


if __name__ == "__main__":
    sys.exit(main())
