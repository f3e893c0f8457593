"""Answers to 02.2 rnn_forward as students write them, wrong and right."""

from __future__ import annotations

import itertools

import torch

from tests.mutants import right, wrong


def step(x, h, W):
    return torch.tanh(x + h @ W.T)


def loop(a, h0, W, mask, step=step):
    h, states = h0, []
    for t in range(len(a)):
        new = step(a[t], h, W)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
        states.append(h)
    return torch.stack(states)


@wrong("02.2", "every step starts from h0")
def state_not_carried(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask, lambda x, h, W: torch.tanh(x + h0 @ W.T))


@wrong("02.2", "W_hh is not transposed")
def weights_as_they_are(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask, lambda x, h, W: torch.tanh(x + h @ W))


@wrong("02.2", "the tanh covers only the state's part")
def tanh_of_the_state_only(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask, lambda x, h, W: x + torch.tanh(h @ W.T))


@wrong("02.2", "nothing is remembered")
def all_steps_at_once(a, h0, W_hh, mask=None):
    return torch.tanh(a)


@wrong("02.2", "every step reads a[0]")
def always_the_first_input(a, h0, W_hh, mask=None):
    return loop(a[:1].expand_as(a), h0, W_hh, mask)


@wrong("02.2", "the first state h0 is returned too")
def first_state_kept(a, h0, W_hh, mask=None):
    return torch.cat([h0[None], loop(a, h0, W_hh, mask)])


@wrong("02.2", "append after the step")
def appended_before_the_step(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        states.append(h)
        new = step(a[t], h, W_hh)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
    return torch.stack(states)


@wrong("02.2", "only the last state is returned")
def last_state_only(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask)[-1]


@wrong("02.2", "`return` stands inside the loop")
def returns_too_early(a, h0, W_hh, mask=None):
    states, h = [], h0
    for t in range(len(a)):
        h = step(a[t], h, W_hh)
        states.append(h)
        return torch.stack(states)


@wrong("02.2", "stack along dimension 0")
def batch_first(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask).transpose(0, 1)


@wrong("02.2", "torch.stack makes one of a list")
def a_generator(a, h0, W_hh, mask=None):
    yield from loop(a, h0, W_hh, mask)


@wrong("02.2", "a dimension of size 1 is gone")
def squeezed(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask).squeeze()


@wrong("02.2", "h0 is not used")
def starts_from_the_last_entry(a, h0, W_hh, mask=None):
    states = list(torch.zeros_like(a))
    for t in range(len(a)):
        new = step(a[t], states[t - 1], W_hh)
        old = states[t - 1]
        states[t] = new if mask is None else torch.where(mask[t, :, None], new, old)
    return torch.stack(states)


@wrong("02.2", "a row gets the state of the row above")
def batch_taken_for_time(a, h0, W_hh, mask=None):
    states, h = torch.empty_like(a), h0[0]
    for t, b in itertools.product(range(a.size(0)), range(a.size(1))):
        if mask is None or mask[t, b]:
            h = torch.tanh(a[t, b] + W_hh @ h)
        states[t, b] = h
    return states


@wrong("02.2", "the mask is ignored")
def mask_ignored(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, None)


@wrong("02.2", "the wrong way round")
def mask_inverted(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, None if mask is None else ~mask)


@wrong("02.2", "at padding the state becomes zero")
def state_zeroed(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        h = step(a[t], h, W_hh) * (1 if mask is None else mask[t, :, None])
        states.append(h)
    return torch.stack(states)


@wrong("02.2", "padding's input is silenced")
def input_zeroed(a, h0, W_hh, mask=None):
    return loop(a if mask is None else a * mask[..., None], h0, W_hh, None)


@wrong("02.2", "hand the kept one on")
def kept_in_the_result_only(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        new = step(a[t], h, W_hh)
        states.append(new if mask is None else torch.where(mask[t, :, None], new, h))
        h = new
    return torch.stack(states)


@wrong("02.2", "append the kept one")
def new_state_in_the_result(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        new = step(a[t], h, W_hh)
        states.append(new)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
    return torch.stack(states)


@wrong("02.2", "as soon as one row is padded")
def all_rows_or_none(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, None if mask is None else mask.all(1, True).expand_as(mask))


@wrong("02.2", "torch.where chooses for each entry")
def if_for_a_whole_batch(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        if mask is None or mask[t]:
            h = step(a[t], h, W_hh)
        states.append(h)
    return torch.stack(states)


@wrong("02.2", "the loop ends at the first padding")
def breaks_at_padding(a, h0, W_hh, mask=None):
    n = len(a) if mask is None else int(mask.all(1).long().cumprod(0).sum())
    return loop(a[:n], h0, W_hh, None)


@wrong("02.2", "read as a length")
def mask_as_length(a, h0, W_hh, mask=None):
    if mask is not None:
        mask = torch.arange(len(a))[:, None] < mask.sum(0)
    return loop(a, h0, W_hh, mask)


@wrong("02.2", "Write the shapes beside each line")
def mask_without_a_new_dimension(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t in range(len(a)):
        new = step(a[t], h, W_hh)
        h = new if mask is None else torch.where(mask[t], new, h)
        states.append(h)
    return torch.stack(states)


@wrong("02.2", "ask `if mask is None`")
def mask_always_expected(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask.clone())


@wrong("02.2", "write mask=None in the first line")
def mask_without_default(a, h0, W_hh, mask):
    return loop(a, h0, W_hh, mask)


@wrong("02.2", "changes its argument number 2 in place")
def writes_into_the_first_state(a, h0, W_hh, mask=None):
    states = []
    for t in range(len(a)):
        new = step(a[t], h0, W_hh)
        h0.copy_(new if mask is None else torch.where(mask[t, :, None], new, h0))
        states.append(h0.clone())
    return torch.stack(states)


@wrong("02.2", "every step repeats the last state")
def one_tensor_appended_again_and_again(a, h0, W_hh, mask=None):
    h, states = h0.clone(), []
    for t in range(len(a)):
        h[:] = step(a[t], h, W_hh)
        states.append(h)
    return torch.stack(states)


@wrong("02.2", "An in-place change destroyed a value that the gradient needs")
def reads_back_from_the_result(a, h0, W_hh, mask=None):
    states = torch.zeros_like(a)
    for t in range(len(a)):
        old = states[t - 1] if t else h0
        new = step(a[t], old, W_hh)
        states[t] = new if mask is None else torch.where(mask[t, :, None], new, old)
    return states


@wrong("02.2", "detached from step to step")
def cut_between_steps(a, h0, W_hh, mask=None):
    return loop(a, h0, W_hh, mask, lambda x, h, W: step(x, h.detach(), W))


@wrong("02.2", "keep their type")
def result_in_single_precision(a, h0, W_hh, mask=None):
    states = torch.zeros(a.shape)
    states[:] = loop(a, h0, W_hh, mask)
    return states


@wrong("02.2", "rnn_tanh may not be used here")
def through_torch_ops(a, h0, W_hh, mask=None):
    H = len(W_hh)
    weights = [torch.eye(H).to(a), W_hh, a.new_zeros(H), a.new_zeros(H)]
    options = (True, 1, 0.0, False, False, False)
    return torch.ops.aten.rnn_tanh.input(a, h0[None], weights, *options)[0]


@wrong("02.2", "minidistill.recurrent.Recurrence.forward may not be used here")
def through_the_packages_function(a, h0, W_hh, mask=None):
    from minidistill.recurrent import Recurrence

    return Recurrence.apply(a, h0, W_hh, mask)


@right("02.2")
def filled_in_place(a, h0, W_hh, mask=None):
    states, h = torch.empty_like(a), h0
    for t in range(a.size(0)):
        new = (a[t] + torch.nn.functional.linear(h, W_hh)).tanh()
        h = new if mask is None else torch.where(mask[t].unsqueeze(-1), new, h)
        states[t] = h
    return states


@right("02.2")
def with_arithmetic(a, h0, W_hh, mask=None):
    real = torch.ones(a.shape[:2]) if mask is None else mask
    pairs = zip(a, real.to(a.dtype)[..., None], strict=True)

    def kept(h, pair):
        x, m = pair
        return m * torch.tanh(x + h @ W_hh.T) + (1 - m) * h

    return torch.stack(list(itertools.accumulate(pairs, kept, initial=h0))[1:])


@right("02.2")
def by_recursion(a, h0, W_hh, mask=None):
    if len(a) == 0:
        return a
    new = torch.tanh(a[0] + torch.einsum("bj,hj->bh", h0, W_hh))
    if mask is not None:
        new = h0 + (new - h0) * mask[0, :, None]
    rest = by_recursion(a[1:], new, W_hh, None if mask is None else mask[1:])
    return torch.cat([new[None], rest])


@right("02.2")
def row_by_row(a, h0, W_hh, mask=None, truncate=None):
    rows = []
    for b in range(a.size(1)):
        h, states = h0[b], []
        for t in range(a.size(0)):
            if mask is None or mask[t, b]:
                h = torch.tanh(a[t, b] + W_hh @ h)
            states.append(h)
        rows.append(torch.stack(states))
    return torch.stack(rows, 1)


@right("02.2")
def padded_rows_written_over(a, h0, W_hh, mask=None):
    h, states = h0, []
    for t, x in enumerate(a.unbind()):
        new = torch.tanh(x + h.matmul(W_hh.t())).clone()
        if mask is not None:
            new[~mask[t]] = h[~mask[t]]
        h = new
        states.append(h)
    return torch.stack(states)
