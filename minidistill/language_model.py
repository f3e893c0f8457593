"""Language models: the next token's probabilities from the tokens so far.

The protocol that every writer of this course keeps, whatever is inside it:

    logits, state = model(tokens, state)                    # a language model
    logits, state = model(tokens, state, memory=memory)     # where there is a source text

    tokens  (B, T) ids          logits  (B, T, V), for the token after each position
    state   None at the start, then whatever the model returned: a tensor or a tuple of
            tensors whose dimension 1 is the batch, as torch.nn's recurrent layers have it

Generation, training and distillation use nothing else, so an RNN, an LSTM, a convolution,
a transformer and a class of your own can take each other's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

State = Any
"""None, a tensor or a tuple of tensors whose dimension 1 is the batch."""


class Writer(Protocol):
    """What generation, training and distillation ask of a model; see the module's first lines."""

    vocab_size: int

    def __call__(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) for the token after each position, and the state after the last."""
        ...


def detach(state: State) -> State:
    """The same state, cut from the graph: what is carried to the next batch of a long text.

    Without the cut, back-propagation would run through all batches so far.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.detach()
    return tuple(detach(part) for part in state)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Inside the block nothing is dropped out; afterwards, or after an error, all is as before.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was_training in before:  # parts may have had modes of their own
            module.training = was_training


class LanguageModel(nn.Module):
    """Embedding, a recurrent layer, and a linear read-out to the vocabulary.

    p(w_{t+1} | w_1 .. w_t) = softmax(W_o dropout(h_t) + b_o),   h = recurrent(dropout(E w))

    Args:
        vocab_size: V, the number of tokens.
        embedding_size: size of a token's vector, E.
        recurrent: any module with `input_size` (= E) and `hidden_size` attributes that maps
            (B, T, E), state, mask to (B, T, H), state: `RNN`, `torch`-like, or your own.
        dropout: share dropped after the embedding and before the read-out while training.
        tied: the read-out uses the embedding's table (Press and Wolf, 2017); needs H = E.

    Shapes: see the protocol at the top of this file.

    Raises:
        ValueError: sizes that do not fit, ids outside the vocabulary.

    Source: Mikolov et al., Recurrent neural network based language model, 2010.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        recurrent: nn.Module,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        hidden_size = recurrent.hidden_size
        if recurrent.input_size != embedding_size:
            raise ValueError(
                f"the recurrent layer reads vectors of size {recurrent.input_size} but the "
                f"embedding gives {embedding_size}: make the two equal"
            )
        if getattr(recurrent, "bidirectional", False):
            raise ValueError(
                "a bidirectional layer sees the token it should predict: a language model "
                "needs bidirectional=False"
            )
        if tied and hidden_size != embedding_size:
            raise ValueError(
                f"tied=True shares one table of vectors, so hidden_size ({hidden_size}) and "
                f"embedding_size ({embedding_size}) must be equal"
            )
        self.vocab_size, self.embedding_size, self.tied = vocab_size, embedding_size, tied
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.recurrent = recurrent
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden_size, vocab_size)
        if tied:
            # A table drawn from N(0, 1) would give logits of size sqrt(H) at the start.
            nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
            self.readout.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) for the token after each position, and the state after the last."""
        if tokens.dim() != 2:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected (batch, time)")
        try:
            x = self.dropout(self.embedding(tokens))  # (B, T, E)
        except IndexError:
            raise ValueError(
                f"token ids reach {int(tokens.max())} (lowest {int(tokens.min())}) but this model "
                f"knows {self.vocab_size} tokens: encode the text with the model's own vocabulary"
            ) from None
        h, state = self.recurrent(x, state, mask)  # (B, T, H)
        return self.readout(self.dropout(h)), state


def parameter_count(model: nn.Module) -> int:
    """How many numbers training can change; a table used twice counts once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
