"""How a timbre transfer is judged: content, timbre and signal metrics, a joint score, one suite.

A metric is a pure function ``(preds, target, sample_rate)`` that gives one value per example, NaN where
the value does not exist; `evaluation.accumulate.ExampleMean` turns any of them into a torchmetrics class.
`evaluation.suite.EvaluationSuite` runs all of them over a test set.
"""
