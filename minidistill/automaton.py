"""Finite automata over tokens: machines that read a text and always stand in one of few states.

What a text must be (quotes that close, a word that must come, an ending that rhymes) is here a
machine that reads the text token by token and says, by the state it stands in, whether the text
may end. `minidistill.constraints` makes such machines and writes texts that they accept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from minidistill.byte_pairs import to_bytes
from minidistill.vocabulary_base import Vocabulary

OTHER = ""  # in the moves of `spell`: any character that no move names
BYTES = 256
MANY_STATES = 64
LARGEST_TABLE = 100_000_000  # entries; 8 bytes each while it is made


@dataclass(frozen=True)
class Automaton:
    """A deterministic finite automaton over the tokens of a vocabulary.

    s_t = step[s_{t-1}, w_t];   the text w_1 .. w_n is accepted where accepting[s_n]

    `a & b` accepts what both accept. Every automaton may be read, joined and followed
    (`minidistill.constraints.follows`), wherever it comes from.

    Args:
        step: (S, V) ids of states: where each state goes with each token.
        accepting: (S,) bool: may the text end here?
        start: the state before the first token.

    Raises:
        ValueError: tables that do not fit each other.

    Source: Rabin and Scott, Finite automata and their decision problems, 1959.
    Taught in solutions/04_writing.ipynb.
    """

    step: Tensor
    accepting: Tensor
    start: int = 0

    def __post_init__(self) -> None:
        states = len(self.accepting)
        if self.step.dim() != 2 or len(self.step) != states or self.accepting.dtype != torch.bool:
            raise ValueError(
                f"step has shape {tuple(self.step.shape)} and accepting "
                f"{tuple(self.accepting.shape)} {self.accepting.dtype}: give (states, tokens) "
                "and one True or False per state"
            )
        lowest, highest = (int(end) for end in torch.aminmax(self.step))
        if not (0 <= self.start < states and lowest >= 0 and highest < states):
            raise ValueError(f"every state, and the start, must be a number from 0 to {states - 1}")

    @property
    def vocab_size(self) -> int:
        """V, how many tokens it knows."""
        return self.step.size(1)

    def to(self, device: torch.device) -> Self:
        """The same automaton with its tables on a device."""
        return type(self)(self.step.to(device), self.accepting.to(device), self.start)

    def read(self, tokens: Tensor) -> Tensor:
        """The state after each row of tokens, (B, t) -> (B,).

        A token is a map from states to states. Two neighbouring maps make one, then two of
        those, and so on: log2(t) rounds in place of t steps (Hillis and Steele, 1986). A map
        has S entries, so with many states plain steps are faster.
        """
        if tokens.size(1) == 0 or len(self.accepting) > MANY_STATES:
            state = tokens.new_full((len(tokens),), self.start)
            for token in tokens.T:
                state = self.step[state, token]
            return state
        maps = self._maps[tokens]  # (B, t, S)
        while maps.size(1) > 1:
            even = maps.size(1) // 2 * 2
            first, second = maps[:, 0:even:2], maps[:, 1:even:2]
            joined = second.gather(2, first)  # second[first[s]]
            maps = torch.cat([joined, maps[:, even:]], dim=1)
        return maps[:, 0, self.start]

    @cached_property
    def _maps(self) -> Tensor:
        return self.step.T.contiguous()  # (V, S)

    def can_finish(self, length: int) -> Tensor:
        """From which states do exactly n more tokens reach an accepting one? (length + 1, S).

        F_0 = accepting;   F_n[s] = F_{n-1}[step[s, w]] for some token w
        """
        states = len(self.accepting)
        neighbours = torch.zeros(states, states, device=self.step.device)
        neighbours.scatter_(1, self.step, 1.0)
        rows = [self.accepting]
        for _ in range(length):
            rows.append(neighbours @ rows[-1].float() > 0)
        return torch.stack(rows)

    def __and__(self, other: Automaton) -> Automaton:
        """The automaton that accepts what both accept: its states are pairs of theirs."""
        if self.vocab_size != other.vocab_size:
            raise ValueError(
                f"one form was made for {self.vocab_size} tokens and the other for "
                f"{other.vocab_size}: make both for one vocabulary"
            )
        many = len(other.accepting)
        entries = self.step.numel() * many
        if entries > LARGEST_TABLE:
            raise ValueError(
                f"the two forms together need a table of {entries:,} entries, more than "
                f"{LARGEST_TABLE:,}: ask for fewer or shorter sequences"
            )
        step = (self.step[:, None] * many + other.step).flatten(0, 1)  # (S1 * S2, V)
        accepting = (self.accepting[:, None] & other.accepting).flatten()
        return Automaton(step, accepting, self.start * many + other.start).smallest()

    def smallest(self) -> Automaton:
        """The automaton with the fewest states that accepts the same texts.

        States are one kind until their tokens lead to different kinds (Moore, 1956).
        """
        whole = self._reached()
        kind, count = whole.accepting.long(), 0
        while True:
            behaviour = torch.cat([kind[:, None], kind[whole.step]], dim=1)  # (S, 1 + V)
            kind = torch.unique(behaviour, dim=0, return_inverse=True)[1]
            if int(kind.max()) + 1 == count:
                break
            count = int(kind.max()) + 1
        one_of = torch.empty(count, dtype=torch.long)
        one_of[kind] = torch.arange(len(kind))  # any one state of each kind
        return Automaton(kind[whole.step[one_of]], whole.accepting[one_of], int(kind[whole.start]))

    def _reached(self) -> Automaton:
        reached = torch.zeros(len(self.accepting), dtype=torch.bool)
        new = torch.tensor([self.start])
        while len(new):
            reached[new] = True
            after = self.step[new].unique()
            new = after[~reached[after]]
        number = reached.cumsum(0) - 1
        step = number[self.step[reached]]
        return Automaton(step, self.accepting[reached], int(number[self.start]))


def seek(sequences: Iterable[Sequence[int]], vocab_size: int) -> Automaton:
    """The automaton that accepts a text while it ends in one of the sequences.

    A state is the longest beginning of a sequence in which the text so far ends. With a token
    that goes on from there the state grows; with another it does what a shorter one would do.

    Raises:
        ValueError: no sequence, an empty one, ids outside the vocabulary.

    Source: Aho and Corasick, Efficient string matching, 1975.
    Taught in solutions/04_writing.ipynb.
    """
    sought = [tuple(sequence) for sequence in sequences]
    if not sought or () in sought:
        raise ValueError("give at least one sequence, and at least one token in each")
    for token in (token for sequence in sought for token in sequence):
        if type(token) is not int or not 0 <= token < vocab_size:
            raise ValueError(f"{token!r} is not an id: ids go from 0 to {vocab_size - 1}")
    beginnings = {sequence[:n] for sequence in sought for n in range(len(sequence) + 1)}
    number = {one: n for n, one in enumerate(sorted(beginnings, key=lambda one: (len(one), one)))}
    step = torch.zeros(len(number), vocab_size, dtype=torch.long)
    found = torch.zeros(len(number), dtype=torch.bool)
    grows = defaultdict(list)  # with which tokens a beginning becomes a longer one
    for one in beginnings - {()}:
        grows[one[:-1]].append(one[-1])
    for one, state in number.items():  # the shorter ones first
        if one:
            shorter = one[1:]
            while shorter not in number:
                shorter = shorter[1:]
            step[state], found[state] = step[number[shorter]], found[number[shorter]]
        found[state] |= one in sought
        for token in grows[one]:
            step[state, token] = number[(*one, token)]
    return Automaton(step, found)


def over_tokens(in_bytes: Automaton, vocabulary: Vocabulary) -> Automaton:
    """An automaton over a vocabulary's tokens from one over the 256 bytes of UTF-8.

    Every token is spelled out once from every state, all tokens and states side by side, so a
    token of several characters, or of a part of one, is read as what it is. Unknown and
    special tokens are no text: they lead to a state from which nothing is accepted.

    Taught in solutions/04_writing.ipynb.
    """
    silent = {vocabulary.token_to_id[name] for name in vocabulary.specials}
    silent.add(vocabulary.unknown_id)
    spelled = [b"" if i in silent else to_bytes(t) for i, t in enumerate(vocabulary.tokens)]
    longest = max(map(len, spelled))
    letters = torch.full((len(spelled), longest), -1)  # (V, L), -1 after a token's last byte
    for row, content in zip(letters, spelled, strict=True):
        row[: len(content)] = torch.tensor(list(content), dtype=torch.long)
    broken = len(in_bytes.accepting)
    state = torch.arange(broken)[:, None].expand(broken, len(spelled))  # (S, V)
    for letter in letters.T:
        state = torch.where(letter >= 0, in_bytes.step[state, letter], state)
    state = torch.where(letters[:, 0] < 0, broken, state)
    step = torch.cat([state, torch.full((1, len(spelled)), broken)])
    accepting = torch.cat([in_bytes.accepting, torch.tensor([False])])
    return Automaton(step, accepting, in_bytes.start).smallest()


def spell(
    moves: Mapping[str, Mapping[str, str]], accepting: Collection[str], vocabulary: Vocabulary
) -> Automaton:
    """An automaton over tokens from named states and their moves by character.

    `{"speech": {OTHER: "speech", "”": "told"}, ...}` says: in the state "speech" a closing quote
    leads to "told" and a character that no move of any state names leaves all as it is. What a
    state does not name it does not allow. One entry may name several characters: `{"。！？": ...}`.
    The first state is the start.

    Args:
        moves: for each state, which characters lead where.
        accepting: the states in which the text may end.
        vocabulary: of characters, words or byte pairs.

    Raises:
        ValueError: a move to a state without moves of its own, or an accepting one.

    Taught in solutions/04_writing.ipynb.
    """
    names = {name: state for state, name in enumerate(moves)}
    for target in [*accepting, *(to for row in moves.values() for to in row.values())]:
        if target not in names:
            raise ValueError(f"the state {target!r} has no moves: give it an entry, maybe {{}}")
    alphabet = sorted({character for row in moves.values() for key in row for character in key})
    broken = len(names)
    step = torch.full((broken + 1, len(alphabet) + 1), broken)  # the last column: OTHER
    for name, row in moves.items():
        for key, target in row.items():
            columns = [alphabet.index(character) for character in key] or [len(alphabet)]
            step[names[name], columns] = names[target]
    ends = torch.tensor([name in accepting for name in moves] + [False])
    return over_tokens(_in_bytes(Automaton(step, ends), alphabet), vocabulary)


def _in_bytes(form: Automaton, alphabet: Sequence[str]) -> Automaton:
    """From characters (those of the alphabet, then any other) to the bytes of UTF-8.

    A byte may stand inside a character, so a state is now a state of the form and a place:
    the beginning of a character of the alphabet, or how many bytes are still to come of
    another. The form moves when the character is known.
    """
    places, effects = _places_in_a_character(alphabet)
    states, many = len(form.accepting), len(places)
    step = torch.full((states, many, BYTES), states * many)
    for (place, byte), (read, then) in effects.items():
        after = torch.arange(states) if read is None else form.step[:, read]
        step[:, places[place], byte] = after * many + places[then]
    accepting = torch.zeros(states, many, dtype=torch.bool)
    accepting[:, places[b""]] = form.accepting  # a text ends with a whole character
    broken = torch.full((1, BYTES), states * many)
    return Automaton(
        torch.cat([step.flatten(0, 1), broken]),
        torch.cat([accepting.flatten(), torch.tensor([False])]),
        form.start * many + places[b""],
    ).smallest()


Place = bytes | int


def _places_in_a_character(
    alphabet: Sequence[str],
) -> tuple[dict[Place, int], dict[tuple[Place, int], tuple[int | None, Place]]]:
    """The places and their numbers; and for a place and a byte, what is read and the next place.

    What is not in the second table leaves a character unfinished or goes on after its end.
    """
    column = {character.encode(): n for n, character in enumerate(alphabet)}
    other = len(alphabet)
    begun = {whole[:n] for whole in column for n in range(len(whole))} | {b""}
    places: list[Place] = [*sorted(begun), 1, 2, 3]
    effects: dict[tuple[Place, int], tuple[int | None, Place]] = {}
    for place in places:
        for byte in range(BYTES):
            follows = 0x80 <= byte < 0xC0  # inside a character; any other byte begins one
            if isinstance(place, int):
                if follows:
                    effects[place, byte] = None, place - 1 or b""
                continue
            text = place + bytes([byte])
            missing = _bytes_of_character(text[0]) - len(text)
            if text in column:
                effects[place, byte] = column[text], b""
            elif text in begun:
                effects[place, byte] = None, text
            elif missing >= 0 and follows == bool(place):
                effects[place, byte] = other, missing or b""
    return {place: n for n, place in enumerate(places)}, effects


def _bytes_of_character(first: int) -> int:
    """How many bytes a character has by its first byte; 0 where no character begins so."""
    for size, low, high in [(1, 0x00, 0x80), (2, 0xC2, 0xE0), (3, 0xE0, 0xF0), (4, 0xF0, 0xF5)]:
        if low <= first < high:
            return size
    return 0
