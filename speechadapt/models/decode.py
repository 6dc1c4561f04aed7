"""Greedy and beam search for models that emit one token after another, batched, with loops bounded."""

import abc
import dataclasses
from collections.abc import Sequence

import torch

LONGEST_REPEAT = 12
"""Token n-grams up to this length are watched for looping."""
LOOP_TOKENS = 24
"""A tail of at least this many tokens ..."""
LOOP_COPIES = 5
"""... that is at least this many copies of one n-gram is a loop: decoding of the clip ends and one copy is kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """One clip's result: token ids without the end, and their summed natural-log probability, that of the end included.

    `emitted` counts the tokens summed, for the average. `looped` says whether a loop was cut; a model is sure of its loops, so the
    copies cut away count neither in the sum nor in the number.
    """

    ids: tuple[int, ...]
    logprob: float
    emitted: int
    looped: bool


class Decoder(abc.ABC):
    """What a search needs of a model: rows of hypotheses, `beams` neighbours per clip."""

    @abc.abstractmethod
    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Feed int64 tokens, shape (rows, length); give float32 logits for the next one, shape (rows, vocabulary), forbidden ones at -inf."""

    @abc.abstractmethod
    def keep_clips(self, clips: torch.Tensor) -> None:
        """Go on with these clips only (int64, shape (kept,)), with all their beams."""

    @abc.abstractmethod
    def reorder(self, rows: torch.Tensor) -> None:
        """Row i continues what row `rows[i]` said (int64, shape (rows,)); rows stay within their clip."""


def loop_length(ids: Sequence[int]) -> int:
    """Tokens to take away when the tail loops, 0 when it does not: all copies of the repeated n-gram but the first.

    Whisper's known failure is to repeat a phrase to the token limit (openai/whisper discussion 679).
    """
    for size in range(1, LONGEST_REPEAT + 1):
        copies = max(LOOP_COPIES, -(-LOOP_TOKENS // size))
        if len(ids) >= size * copies:
            tail = ids[-size:]
            if all(ids[-size * (n + 1) : len(ids) - size * n] == tail for n in range(1, copies)):
                while len(ids) >= size * (copies + 1) and ids[-size * (copies + 1) : len(ids) - size * copies] == tail:
                    copies += 1
                return size * (copies - 1)
    return 0


def greedy(decoder: Decoder, prompts: torch.Tensor, end: int, budgets: Sequence[int], *, temperature: float = 0.0, seed: int = 0) -> list[Tokens]:
    """Take the likeliest token at each step, or draw one.

    Args:
        decoder: fresh, one beam per clip.
        prompts: int64, shape (clips, prompt).
        end: the token that ends a clip.
        budgets: most tokens per clip.
        temperature: above 0, tokens are drawn from the softmax of the logits divided by it. The log-probabilities told are those at 1.
        seed: of the draws. Each clip draws with the same numbers, so that what it says does not depend on its neighbors in the batch.

    Returns:
        One result per clip, in order.
    """
    draws = torch.rand(max(budgets, default=0) + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    step = 0
    alive = list(range(len(prompts)))
    ids: list[list[int]] = [[] for _ in alive]
    sums: list[list[float]] = [[0.0] for _ in alive]
    done: dict[int, Tokens] = {}
    tokens = prompts
    while alive:
        logits = decoder.step(tokens)
        choice = logits.argmax(dim=-1) if temperature == 0 else _draw(logits, temperature, draws[step])
        step += 1
        scores = (logits.gather(1, choice[:, None])[:, 0] - logits.logsumexp(dim=-1)).tolist()
        staying = []
        for row, (clip, token) in enumerate(zip(alive, choice.tolist(), strict=True)):
            sums[clip].append(sums[clip][-1] + scores[row])
            if token != end:
                ids[clip].append(token)
            cut = loop_length(ids[clip]) if token != end else 0
            if token == end or cut or len(ids[clip]) >= budgets[clip]:
                kept = tuple(ids[clip][: len(ids[clip]) - cut])
                emitted = len(kept) + (token == end)
                done[clip] = Tokens(ids=kept, logprob=sums[clip][emitted], emitted=emitted, looped=cut > 0)
            else:
                staying.append(row)
        if len(staying) < len(alive):
            rows = torch.tensor(staying, dtype=torch.int64, device=prompts.device)
            alive = [alive[row] for row in staying]
            if alive:
                decoder.keep_clips(rows)
                choice = choice[rows]
        tokens = choice[:, None]
    return [done[clip] for clip in range(len(prompts))]


def _draw(logits: torch.Tensor, temperature: float, uniform: float) -> torch.Tensor:
    """The token of each row at which the cumulated probability passes `uniform` (0 to 1); one that is forbidden has none."""
    sums = (logits.double() / temperature).softmax(dim=-1).cumsum(dim=-1)
    # a threshold strictly below the total, which rounding may leave a little off 1
    passed = torch.searchsorted(sums, (uniform * sums[:, -1:]), right=True)[:, 0]
    return passed.clamp_max(logits.shape[-1] - 1)


def beam_search(decoder: Decoder, prompts: torch.Tensor, end: int, budgets: Sequence[int], beams: int) -> list[Tokens]:
    """Keep the `beams` likeliest beginnings; the winner has the best log-probability per token, as in Whisper's own decoder.

    Args:
        decoder: fresh, `beams` rows per clip.
        prompts: int64, shape (clips, prompt).
        end, budgets: as for `greedy`.
        beams: 2 or more.

    Returns:
        One result per clip, in order.
    """
    clips = len(prompts)
    device = prompts.device
    alive = list(range(clips))
    texts: list[list[tuple[int, ...]]] = [[()] * beams for _ in alive]
    sums: list[list[tuple[float, ...]]] = [[()] * beams for _ in alive]  # log-probability up to each token of the texts
    finished: list[list[Tokens]] = [[] for _ in alive]
    logits = decoder.step(prompts.repeat_interleave(beams, dim=0))
    # all beams start alike, so only the first may speak in the first step
    totals = torch.full((clips, beams), -torch.inf, device=device)
    totals[:, 0] = 0.0
    while True:
        vocabulary = logits.shape[-1]
        paths = (totals[:, :, None] + logits.log_softmax(dim=-1).view(len(alive), beams, vocabulary)).view(len(alive), -1)
        values, places = paths.topk(2 * beams, dim=-1)
        origins = (places // vocabulary).tolist()
        words = (places % vocabulary).tolist()
        staying, rows, next_tokens, next_totals = [], [], [], []
        for row, clip in enumerate(alive):
            kept: list[tuple[int, int, float]] = []
            for origin, token, value in zip(origins[row], words[row], values[row].tolist(), strict=True):
                if value == -torch.inf or len(kept) == beams:
                    break  # sorted: what ranks behind a full beam is neither continued nor allowed to end
                before = texts[clip][origin]
                if token == end:
                    finished[clip].append(Tokens(ids=before, logprob=value, emitted=len(before) + 1, looped=False))
                    continue
                now = (*before, token)
                cut = loop_length(now)
                if cut or len(now) >= budgets[clip]:
                    length = len(now) - cut
                    logprob = (*sums[clip][origin], value)[length - 1]
                    finished[clip].append(Tokens(ids=now[:length], logprob=logprob, emitted=length, looped=cut > 0))
                else:
                    kept.append((origin, token, value))
            if kept and len(finished[clip]) < beams:
                # fewer continuations than beams: fill with impossible ones
                kept += [(kept[0][0], kept[0][1], -torch.inf)] * (beams - len(kept))
                sums[clip] = [(*sums[clip][origin], value) for origin, _, value in kept]
                texts[clip] = [(*texts[clip][origin], token) for origin, token, _ in kept]
                staying.append(row)
                rows += [len(staying) * beams - beams + origin for origin, _, _ in kept]
                next_tokens += [token for _, token, _ in kept]
                next_totals.append([value for _, _, value in kept])
        if not staying:
            break
        if len(staying) < len(alive):
            decoder.keep_clips(torch.tensor(staying, dtype=torch.int64, device=device))
            alive = [alive[row] for row in staying]
        decoder.reorder(torch.tensor(rows, dtype=torch.int64, device=device))
        totals = torch.tensor(next_totals, device=device)
        logits = decoder.step(torch.tensor(next_tokens, dtype=torch.int64, device=device)[:, None])
    return [max(results, key=lambda result: result.logprob / result.emitted) for results in finished]
