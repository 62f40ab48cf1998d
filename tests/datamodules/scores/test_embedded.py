"""The tunes and chorales that come with music21, as they arrive in the tiny corpus."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from datamodules.corpora.corpus import Corpus, CorpusError
from datamodules.scores.embedded import SIZES, EmbeddedScores, candidates, parse
from datamodules.scores.melodies import MelodyRegister
from datamodules.scores.notes import is_monophonic
from datamodules.scores.source import ScoreSet
from runtime.hashing import FileHashes


@pytest.fixture(scope="module")
def tiny(tiny_corpus: Corpus) -> ScoreSet:
    """The note list that building the tiny corpus left."""
    return EmbeddedScores("tiny").load(tiny_corpus.root.parent / ".cache", FileHashes(), progress=False)


def test_the_tiny_size_has_its_pieces_in_every_split(tiny: ScoreSet) -> None:
    counts = Counter((score.track, score.split) for score in tiny.scores)
    assert counts == {
        ("monophonic", "train"): 4, ("monophonic", "val"): 2, ("monophonic", "test"): 4,
        ("polyphonic", "train"): 3, ("polyphonic", "val"): 2, ("polyphonic", "test"): 3,
    }  # fmt: skip


def test_oneill_is_in_test_only_and_ids_say_where_a_piece_is_from(tiny: ScoreSet) -> None:
    splits = {score.split for score in tiny.scores if score.piece.startswith("oneill-")}
    assert splits == {"test"}
    assert {score.piece.partition("-")[0] for score in tiny.scores} == {"oneill", "ryan", "bach"}


def test_melodies_are_melodies_and_all_are_different(tiny: ScoreSet) -> None:
    for score in tiny.scores:
        assert is_monophonic(score.notes) == (score.track == "monophonic")
        assert score.notes[-1].end_s >= 8.0
    for one, other in combinations(tiny.scores, 2):
        register = MelodyRegister()
        register.add(one.piece, one.notes)
        assert register.known_as(other.notes) is None


def test_a_chorale_has_four_parts_ties_joined_and_a_tune_its_repeats() -> None:
    chorale = next(tune for tune in candidates("bach") if tune.path.name == "bwv66.6.mxl")
    title, notes = parse(chorale)
    assert title == "bwv66.6"
    # Soprano: c♯ b a b c♯ …, upbeat of two eighths; the first chord is F♯ minor's fifth over A.
    soprano = [
        max(n.pitch for n in notes if n.start_s == start) for start in sorted({n.start_s for n in notes})
    ]
    assert soprano[:4] == [73, 71, 69, 71]
    assert max(sum(n.start_s <= t < n.end_s for n in notes) for t in (1.0, 3.1, 7.3)) == 4
    assert len(notes) < 165, "163 after ties; unisons are one sound"


def test_collections_are_whole_and_in_a_fixed_order() -> None:
    assert len(candidates("ryan")) == 1059
    assert len(candidates("oneill")) > 1900
    assert len(candidates("bach")) > 365
    assert candidates("ryan")[:5] == candidates("ryan")[:5]


def test_bigger_sizes_are_bigger() -> None:
    totals = [sum(sum(quota.values()) for quota in size.quotas().values()) for size in SIZES.values()]
    assert list(SIZES) == ["tiny", "demo", "default", "full"] and totals == [18, 64, 103, 600]


def test_an_unknown_size_is_one_sentence() -> None:
    with pytest.raises(CorpusError, match="no size 'huge'; choose one of tiny, demo, default, full"):
        EmbeddedScores("huge")


def test_the_cache_makes_music21_unnecessary(tiny_corpus: Corpus) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from pathlib import Path; from datamodules.scores import EmbeddedScores;"
        "from runtime.hashing import FileHashes;"
        f"EmbeddedScores('tiny').load(Path({str(tiny_corpus.root.parent / '.cache')!r}), FileHashes());"
        "assert not {'music21', 'torch', 'lightning', 'pretty_midi'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
