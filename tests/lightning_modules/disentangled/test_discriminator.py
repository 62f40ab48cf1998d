from lightning_modules.disentangled.discriminator import InstrumentDiscriminator


def test_the_parameter_count_is_the_documented_one():
    assert sum(parameter.numel() for parameter in InstrumentDiscriminator().parameters()) == 49_666
