"""Every family in small: the real classes of diffusers and transformers with random weights.

A module for each, with `CARDS`, the cards that must be able to paint with it, and `build`.
"""
