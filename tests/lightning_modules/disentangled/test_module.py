"""What reaches the networks, what a transfer keeps, and what each part is told."""

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from datamodules.features.spectrum_statistics import Statistics
from lightning_modules.disentangled.losses import LossWeights
from lightning_modules.disentangled.module import in_noise
from lightning_modules.layers.network_size import NetworkSizeError
from tests.lightning_modules.disentangled.conftest import HOP, INSTRUMENTS, N_FFT, N_SAMPLES, build, tone

TERMS = list(vars(LossWeights()))
OF_LEVELS = ("level", "temporal", "spectral", "perceptual", "convergence")


@pytest.fixture
def module():
    """One that knows both instruments."""
    module = build()
    module.known[:] = True
    return module


def unpaired(batch):
    """Another piece of each class, and no target."""
    return batch._replace(target=None)


def gradients(network):
    return sum(p.grad.abs().sum().item() for p in network.parameters() if p.grad is not None)


# ------------------------------------------------------------------------------------------------ losses


@pytest.mark.parametrize("name", TERMS)
def test_every_term_reaches_what_it_is_for(name, module, pair_batch):
    module.generator_terms(module.forward_batch(pair_batch))[name].backward()
    assert gradients(module.style_encoder) > 0
    assert (gradients(module.decoder) > 0) == (name in (*OF_LEVELS, "transfer"))
    of_content = name not in ("info_nce", "margin")
    assert (gradients(module.content_encoder) > 0) == of_content


def test_every_term_has_a_weight_of_its_name_and_is_finite(module, pair_batch):
    for batch in (pair_batch, unpaired(pair_batch)):
        terms = module.generator_terms(module.forward_batch(batch))
        assert set(terms) == set(TERMS) - (set() if batch is pair_batch else {"transfer"})
        assert all(term.isfinite() for term in terms.values())


def test_the_discriminator_learns_from_embeddings_that_it_does_not_move(module, pair_batch):
    module.discriminator_terms(module.forward_batch(pair_batch))["discriminator"].backward()
    assert gradients(module.discriminator) > 0
    assert gradients(module.style_encoder) == gradients(module.content_encoder) == 0


def test_a_batch_of_one_class_has_finite_terms_and_gradients(module, pair_batch):
    one = pair_batch._replace(target_instrument=pair_batch.source_instrument)
    terms = module.generator_terms(module.forward_batch(one))
    torch.stack(list(terms.values())).sum().backward()
    assert terms["margin"] == 0
    for parameter in module.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_the_encoders_hear_noise_in_training_and_the_decoder_is_to_play_without(module, pair_batch):
    clean, levels = (
        getattr(module.eval().forward_batch(pair_batch), name) for name in ("embeddings", "levels")
    )
    noisy = module.train().forward_batch(pair_batch)
    assert torch.equal(noisy.levels, levels)
    assert not torch.allclose(noisy.embeddings.content, clean.content, atol=1e-3)
    silence = torch.zeros(2, 500)
    assert torch.equal(in_noise(silence, (10.0, 60.0)), silence)
    audio = tone(300.0, n_samples=40_000).expand(200, -1)
    snr_db = (
        10 * (audio.square().mean(-1) / (in_noise(audio, (10.0, 60.0)) - audio).square().mean(-1)).log10()
    )
    assert 9.5 < snr_db.min() < 15 and 55 < snr_db.max() < 60.5


def test_pairs_are_transferred_with_the_style_of_the_reference(module, pair_batch):
    module.eval()
    forward = module.forward_batch(pair_batch)
    n = len(pair_batch.source)
    assert forward.levels.shape[0] == 2 * n
    assert torch.equal(forward.target_levels, forward.levels[n:])
    assert forward.embeddings.classes.tolist() == [0] * n + [1] * n
    style = module.style(pair_batch.reference)
    expected = module.decoder.generate(forward.embeddings.content[:n], style)
    torch.testing.assert_close(forward.transferred, expected)
    without = module.forward_batch(pair_batch._replace(reference=pair_batch.reference[:, :0]))
    expected = module.decoder.generate(forward.embeddings.content[:n], forward.embeddings.styles[n:])
    torch.testing.assert_close(without.transferred, expected)


def test_longer_segments_are_more_slices(module, pair_batch):
    longer = pair_batch._replace(**{
        part: torch.cat([getattr(pair_batch, part), getattr(pair_batch, part)[:, N_FFT:]], dim=1)
        for part in ("source", "target")
    })  # fmt: skip
    forward = module.forward_batch(longer)
    assert len(forward.levels) == 16 and len(forward.transferred) == 8
    assert forward.embeddings.classes.tolist() == [0] * 8 + [1] * 8


# --------------------------------------------------------------------------------------------- transfer


@pytest.mark.parametrize("n_samples", [0, 1, N_SAMPLES - N_FFT, 5000])
def test_any_length_comes_back(module, n_samples):
    with torch.inference_mode():
        result = module.eval().transfer(torch.randn(2, n_samples), tone(400.0).expand(2, -1))
    assert result.shape == (2, n_samples) and result.isfinite().all()


@pytest.mark.parametrize("n_samples", [1, 700, 5000])
def test_a_reference_may_have_any_length_and_one_serves_many(module, n_samples):
    with torch.inference_mode():
        result = module.eval().transfer(torch.randn(2, 2000), torch.randn(1, n_samples))
    assert result.isfinite().all()


def test_the_output_changes_with_the_reference_and_only_of_its_own_example(module, pair_batch):
    module.eval()
    for layer in module.decoder.layers:  # style begins without a say
        torch.nn.init.normal_(layer.modulation.weight, std=0.3)
    other = pair_batch.reference.clone()
    other[1] = torch.randn_like(other[1]) * 0.3
    with torch.no_grad():
        first, second = (module.transfer(pair_batch.source, ref) for ref in (pair_batch.reference, other))
    assert torch.equal(first[0], second[0])
    assert (first[1] - second[1]).norm() > 1e-2 * first[1].norm()


class Telling(torch.nn.Module):
    """A decoder that is told the levels of the source."""

    patch_frames = 2

    def __init__(self, module):
        super().__init__()
        self.module = [module]  # not a submodule of its submodule

    def generate(self, content, style):
        return self.levels

    def hear(self, part):
        module = self.module[0]
        self.levels = module.normalisation.level(module.representation.fourier(part).abs())


@pytest.mark.parametrize("sign", [1, -1])
def test_true_magnitudes_give_the_source_with_its_polarity_and_without_seams(module, sign):
    module.decoder = Telling(module)
    played = module._played
    module._played = lambda part, style: (module.decoder.hear(part), played(part, style))[1]
    source = sign * tone(200.0, n_samples=7777).clamp(min=0)  # asymmetric
    with torch.inference_mode():
        result = module.eval().transfer(source, tone(400.0))
    torch.testing.assert_close(result, source, atol=3e-3, rtol=0)


def test_normalisation_does_not_change_what_true_magnitudes_give(module):
    """Normalised and de-normalised by whatever statistics, the source comes back."""
    n_bins = module.representation.n_bins
    module.normalisation.adopt(Statistics(0.01 * torch.randn(2, n_bins), 0.05 + torch.rand(2, n_bins)))
    test_true_magnitudes_give_the_source_with_its_polarity_and_without_seams(module, 1)


def test_generation_is_a_slice_at_a_time_whatever_the_length(module):
    """Memory does not grow with the length, and work grows with it."""
    lengths = []
    generate = module.decoder.generate
    module.decoder.generate = lambda content, style: lengths.append(content.shape) or generate(content, style)
    with torch.inference_mode():
        module.eval().transfer(torch.randn(1, 40 * HOP), tone(400.0))
        short, lengths[:] = len(lengths), []
        module.transfer(torch.randn(1, 400 * HOP), tone(400.0))
    assert {tuple(shape) for shape in lengths} == {(1, 8, 32)}
    assert len(lengths) == pytest.approx(10 * short, rel=0.2)


# ----------------------------------------------------------------------------------------------- classes


def test_a_class_plays_where_there_is_no_reference(pair_batch):
    module = build(memory=0.5).eval()
    embeddings = module.forward_batch(pair_batch).embeddings
    module._remember(embeddings)
    first = embeddings.styles[:4].mean(0)
    torch.testing.assert_close(module.class_embeddings[0], first)  # the first batch is taken as it is
    module._remember(embeddings._replace(styles=0 * embeddings.styles))
    torch.testing.assert_close(module.class_embeddings[0], first / 2)
    with torch.inference_mode():
        one, two = (module.transfer(tone(300.0), target_instrument=torch.tensor([c])) for c in (0, 1))
    assert one.shape == two.shape


def test_class_embeddings_and_judge_grow_with_the_instruments():
    module = build(["flute", "piano", "violin"])
    assert module.class_embeddings.shape == (3, 32)
    assert module.discriminator[-1].out_features == 3


def test_an_instrument_that_was_not_heard_is_refused(module):
    module.known[1] = False
    with pytest.raises(CorpusError, match="trained on dull and has not heard bright: give a reference"):
        module.transfer(tone(300.0), target_instrument=torch.tensor([1]))
    with pytest.raises(CorpusError, match="give one of them"):
        module.transfer(tone(300.0))


@pytest.mark.parametrize("sizes", [{"slice_frames": 15}, {"overlap_frames": 8}])
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(NetworkSizeError, match="slice_frames"):
        build(INSTRUMENTS, **sizes)
