"""Nets: one training loop for all of them, their devices, weights and checkpoints, and the nets themselves (torch).

Belongs here: what a net is made of and how it learns, over arrays. Does not belong here: what a model asks, reads and
answers. Its modules import torch, so whoever needs them imports them where they are used.
"""
