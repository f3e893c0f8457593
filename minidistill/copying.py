"""All passages of a text in one small automaton: how a copied passage is found fast."""

from __future__ import annotations

from collections.abc import Hashable


def suffix_automaton(tokens: list) -> tuple[list[dict[Hashable, int]], list[int], list[int]]:
    """Build the smallest automaton that reads exactly the passages of a text.

    A state stands for all passages that end at the same places of the text; state 0 for the
    empty one. A text of T tokens needs at most 2 T states.

    Returns, each with one entry a state:
        steps: token -> the state after reading it,
        shorter: the state of the longest end of its passages that stands at more places too,
        lengths: how long the longest of its passages is.

    Source: Blumer et al., The smallest automaton recognizing the subwords of a text, 1985.
    Taught in solutions/04_writing.ipynb.
    """
    steps: list[dict[Hashable, int]] = [{}]
    shorter, lengths = [-1], [0]
    last = 0  # the state of the whole text so far
    for token in tokens:
        new = _add(steps, shorter, lengths, {}, lengths[last] + 1)
        state = last
        while state != -1 and token not in steps[state]:  # ends that never went on like this
            steps[state][token] = new
            state = shorter[state]
        if state == -1:
            shorter[new] = 0
        else:
            shorter[new] = _split(steps, shorter, lengths, state, token)
        last = new
    return steps, shorter, lengths


def _split(
    steps: list[dict[Hashable, int]],
    shorter: list[int],
    lengths: list[int],
    state: int,
    token: Hashable,
) -> int:
    """The state for the passage of `state` and `token`, which now ends at one more place.

    Where longer passages share its state, they did not get that place: the two must part.
    """
    old = steps[state][token]
    if lengths[old] == lengths[state] + 1:
        return old
    copy = _add(steps, shorter, lengths, dict(steps[old]), lengths[state] + 1)
    shorter[copy], shorter[old] = shorter[old], copy
    while state != -1 and steps[state].get(token) == old:
        steps[state][token] = copy
        state = shorter[state]
    return copy


def _add(
    steps: list[dict[Hashable, int]],
    shorter: list[int],
    lengths: list[int],
    onwards: dict[Hashable, int],
    length: int,
) -> int:
    """Append a state and return its number."""
    steps.append(onwards)
    shorter.append(-1)
    lengths.append(length)
    return len(steps) - 1
