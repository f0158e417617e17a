"""Benchmarks for any checkpoint that `vrpo_theory.load_model` reads, through lm-evaluation-harness.

It comes with the extra ``evaluation``. The harness's own command line, with the model ``vrpo``::

    python -m vrpo_theory.evaluation --model vrpo --tasks gsm8k \\
        --model_args 'policy=DIR,sampler=semi_autoregressive(block_length=32),answer_length=256'

Likelihoods of answers are ELBOs (`vrpo_theory.evaluation.likelihoods`), exact or sampled as a scheme says; answers are
written by `vrpo_theory.generate`.
"""
