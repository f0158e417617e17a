"""Masked diffusion language models on the blocks of an autoregressive one: what a declaration says, and all it needs.

A family is a `Decoder`, declared in a file of its own under `vrpo_theory.models`; its numbers follow from three
properties, the shift, the attention and the mask token, and from the class of transformers whose blocks it has.
"""

from vrpo_theory.checkpoints.decoders.declaration import NUMBERS, SIZES, Decoder

__all__ = ["NUMBERS", "SIZES", "Decoder"]
