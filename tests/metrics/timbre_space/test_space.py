import numpy as np
import pytest
import torch

from datamodules.corpora.corpus import Corpus
from metrics.timbre_space.space import (
    TimbreNetwork,
    TimbreSpace,
    instrument_accuracy,
    triplet_timbre_distance,
)
from metrics.timbre_space.training import (
    Clip,
    load_timbre_space,
    prepare_timbre_space,
    save_timbre_space,
    train_timbre_space,
)
from tests.metrics.conftest import RATE, Quartet, clips, melody, noise


@pytest.fixture(scope="module")
def space(tiny_corpus: Corpus) -> TimbreSpace:
    path = prepare_timbre_space(tiny_corpus.root)
    assert path is not None
    found = load_timbre_space(path)
    assert found is not None
    return found


def synthetic_clips() -> list[Clip]:
    """Two instruments that differ in their harmonics only, three pieces each."""
    tunes = {"low": [48, 50, 52, 48] * 2, "middle": [60, 62, 64, 60] * 2, "high": [67, 72, 69, 67] * 2}
    return [
        Clip(melody(tune, harmonics=n)[0].numpy(), name, piece)
        for name, n in (("bright", 12), ("dull", 2))
        for piece, tune in tunes.items()
    ]


def test_as_many_weights_as_the_source():
    assert sum(p.numel() for p in TimbreNetwork().parameters()) == 44_800


def test_held_out_pieces_are_named_right(space: TimbreSpace, tiny_corpus: Corpus):
    for instrument in tiny_corpus.instruments:
        heard = clips(tiny_corpus, instrument)
        assert instrument_accuracy(heard, [instrument] * len(heard), space).mean() >= 0.75


def test_timbre_and_not_notes_makes_the_distance(space: TimbreSpace, quartet: Quartet):
    same = triplet_timbre_distance(quartet.wrong_violin, quartet.violin, space)
    other = triplet_timbre_distance(quartet.keyboard, quartet.violin, space)
    assert same.max() < other.min() and same.mean() < 0.4 * other.mean()


def test_noise_20_db_below_is_no_other_instrument(space: TimbreSpace, quartet: Quartet):
    noisy = quartet.violin + quartet.violin.std() * noise(4.0, amplitude=0.1)
    copied = triplet_timbre_distance(quartet.keyboard, quartet.violin, space)
    assert (triplet_timbre_distance(noisy, quartet.violin, space) < 0.4 * copied).all()


def test_silence_has_no_distance_and_is_no_instrument(space: TimbreSpace, quartet: Quartet):
    silence = torch.zeros_like(quartet.violin)
    assert triplet_timbre_distance(silence, quartet.violin, space).isnan().all()
    assert instrument_accuracy(silence, ["violin"] * len(silence), space).sum() == 0


def test_any_length_can_be_embedded(space: TimbreSpace):
    assert space.embed(noise(0.3)).shape == (1, 64)
    assert space.embed_windows(noise(0.3)).shape == (1, 1, 64)
    assert space.embed_windows(noise(8.0).repeat(2, 1)).shape == (2, 3, 64)


def test_the_first_window_is_the_clip_when_there_is_one(space: TimbreSpace):
    audio = melody([60, 62, 64, 65, 67, 69, 71, 72])[:, : round(3.99 * RATE)]
    assert torch.allclose(space.embed_windows(audio)[:, 0], space.embed(audio), atol=1e-5)


def test_training_repeats_and_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (train_timbre_space(synthetic_clips(), RATE, n_steps=5) for _ in range(2))
    assert one is not None and two is not None
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.embed(noise(4.0)), two.embed(noise(4.0)))

    save_timbre_space(one, tmp_path / "space.pt")
    loaded = load_timbre_space(tmp_path / "space.pt")
    assert loaded is not None and loaded.instruments == ("bright", "dull")
    assert torch.equal(one.embed(noise(4.0)), loaded.embed(noise(4.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["space.pt"]


def test_a_damaged_or_dangerous_file_is_not_loaded(tmp_path):
    damaged, dangerous = tmp_path / "damaged.pt", tmp_path / "dangerous.pt"
    damaged.write_bytes(b"not a space")
    torch.save({"recipe": 1, "network": pytest.raises}, dangerous)  # a function: pickle would import it
    assert load_timbre_space(damaged) is None and load_timbre_space(dangerous) is None


def test_one_instrument_alone_has_no_space():
    clip = Clip(np.zeros(4 * RATE, np.float32), "violin", "a")
    assert train_timbre_space([clip], RATE) is None
