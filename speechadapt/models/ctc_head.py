"""The output layer of a CTC model when its vocabulary changes: new ones, and old ones with rows added behind.

Random numbers come from torch's global generator, so the caller's seed decides them.
"""

import math

import torch
from torch import nn

from speechadapt.models.vocabulary import Vocabulary

NOISE_SHARE = 0.1
"""New rows differ by this share of the letters' own spread, or equal gradients would keep them equal."""
EXTRA_BIAS = -1.0
"""Below the letters' mean, so that where the base is undecided between its letters (noise, pauses) it still writes what it wrote before."""


def new_head(width: int, tokens: int) -> nn.Linear:
    """An untrained output layer, shape (tokens, width).

    Its logits have unit variance on normalized states, so that the letters differ from frame to frame from the first step on. With
    transformers' own spread (0.02) a toy language of three tones stayed on the plateau where all is blank for hundreds of steps, with
    this one it was learned in a hundred; raising or lowering the blank's bias was worse than leaving it at zero.
    """
    head = nn.Linear(width, tokens)
    with torch.no_grad():
        head.weight.copy_(torch.randn(tokens, width) / math.sqrt(width))
        head.bias.zero_()
    return head


def exchanged_head(old: nn.Linear, letters: Vocabulary, new: Vocabulary) -> nn.Linear:
    """A layer for other letters that keeps what the base knows of speech in any language: where a letter is and where none, and where words end.

    Blank and word separator keep their rows. Each new letter gets a row drawn around the mean of the old letters' rows with their own spread.
    A base that was trained for long writes in short peaks; under a layer of random rows it falls back to the plateau where all is blank, and
    stayed there for two hundred steps where this one leaves it at once (docs/log.md).

    Args:
        old: the layer of the base.
        letters: its vocabulary.
        new: the vocabulary wanted.
    """
    head = nn.Linear(old.in_features, len(new))
    rows = torch.tensor(sorted(letters.letters.values()))
    with torch.no_grad():
        weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
        chosen = weight[rows]
        spread = chosen.std(dim=0, correction=0)
        head.weight.copy_(chosen.mean(dim=0) + torch.randn(len(new), old.in_features) * spread)
        head.bias.fill_(float(bias[rows].mean()))
        for row, before in ((new.blank, letters.blank), (new.separator, letters.separator)):
            if row is not None and before is not None:
                head.weight[row], head.bias[row] = weight[before], bias[before]
    return head


def extended_head(old: nn.Linear, letters: Vocabulary, tokens: int) -> nn.Linear:
    """The same rows bit by bit, and new ones near the mean of the letters' rows.

    A new letter begins as "some letter": it scores high where speech is and low where the blank is, as every letter does, but below
    the letter that the base recognizes. From the layer's own random initialization it would first have to learn even that.

    Args:
        old: the layer to extend.
        letters: its vocabulary.
        tokens: rows wanted.
    """
    head = nn.Linear(old.in_features, tokens)
    rows = torch.tensor(sorted(letters.letters.values()))
    with torch.no_grad():
        weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
        chosen = weight[rows]
        spread = chosen.std(dim=0, correction=0)
        noise = torch.randn(tokens - len(letters), old.in_features)
        head.weight.copy_(torch.cat([weight, chosen.mean(dim=0) + noise * spread * NOISE_SHARE]))
        head.bias.copy_(torch.cat([bias, (bias[rows].mean() + EXTRA_BIAS).expand(tokens - len(letters))]))
    return head
