"""Training real checkpoints: the preference objective on the Trainer of transformers.

Processes, mixed precision, optimizers, schedules, checkpoints and trackers are the Trainer's; scores, gradients,
masks, the order of pairs, and what is said of every step are this package's. Needs the extra ``training``.
"""
