"""Answers to 02.6 clip_gradients as students write them, wrong and right."""

from __future__ import annotations

import functools
import math

import torch
from torch import nn

from tests.mutants import right, wrong


def joint_norm(gradients):
    return float(torch.cat([g.flatten() for g in gradients]).norm())


def factor(norm, max_norm):
    return max_norm / norm if norm > max_norm else 1.0


@wrong("02.6", "each tensor is clipped by its own norm")
def tensor_by_tensor(gradients, max_norm):
    return [g * factor(float(g.norm()), max_norm) for g in gradients]


@wrong("02.6", "single entries are cut")
def by_value(gradients, max_norm):
    return [g.clamp(-max_norm, max_norm) for g in gradients]


@wrong("02.6", "each row or column")
def row_by_row(gradients, max_norm):
    return [g * (max_norm / (g.norm(dim=-1, keepdim=True) + 1e-12)).clamp(max=1) for g in gradients]


@wrong("02.6", "small gradients are scaled up")
def always_scaled(gradients, max_norm):
    return [g * (max_norm / (joint_norm(gradients) + 1e-12)) for g in gradients]


@wrong("02.6", "the root is missing")
def squared_norm(gradients, max_norm):
    norm = sum(float((g**2).sum()) for g in gradients)
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "the square of the norm is compared")
def square_compared(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * (max_norm / norm) if norm**2 > max_norm else g for g in gradients]


@wrong("02.6", "the norms of the tensors are added")
def sum_of_norms(gradients, max_norm):
    norm = sum(float(g.norm()) for g in gradients)
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "only the last tensor's norm")
def norm_overwritten(gradients, max_norm):
    norm = 0.0
    for g in gradients:
        norm = float(g.norm())
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "the root is taken inside the loop")
def root_too_early(gradients, max_norm):
    norm = 0.0
    for g in gradients:
        norm = math.sqrt(norm + float((g**2).sum()))
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "the sum of absolute values")
def absolute_values(gradients, max_norm):
    norm = sum(float(g.abs().sum()) for g in gradients)
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "not multiplied by max_norm")
def to_length_one(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g / norm if norm > max_norm else g for g in gradients]


@wrong("02.6", "the factor is upside down")
def upside_down(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * (norm / max_norm) if norm > max_norm else g for g in gradients]


@wrong("02.6", "nothing is clipped")
def max_for_min(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * max(1.0, max_norm / (norm + 1e-12)) for g in gradients]


@wrong("02.6", "set to zero")
def too_large_is_zero(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * (norm <= max_norm) for g in gradients]


@wrong("02.6", "small gradients are set to zero")
def too_small_is_zero(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * (max_norm / norm if norm > max_norm else 0) for g in gradients]


@wrong("02.6", "only the tensors whose own norm is too large")
def only_the_large_ones(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    return [g * scale if float(g.norm()) > max_norm else g for g in gradients]


@wrong("02.6", "large enough to count")
def too_much_added(gradients, max_norm):
    scale = min(1.0, max_norm / (joint_norm(gradients) + 0.1))
    return [g * scale for g in gradients]


@wrong("02.6", "Think of the empty case")
def divided_by_zero(gradients, max_norm):
    scale = min(1.0, max_norm / joint_norm(gradients))
    return [g * scale for g in gradients]


@wrong("02.6", "0 / 0")
def zero_times_infinity(gradients, max_norm):
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    return [g / norm * norm.clamp(max=max_norm) for g in gradients]


@wrong("02.6", "in place")
def tensors_changed(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    for g in gradients:
        g.mul_(scale)
    return gradients


@wrong("02.6", "in place")
def list_changed(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    for i in range(len(gradients)):
        gradients[i] = gradients[i] * scale
    return gradients


@wrong("02.6", "one long vector is returned")
def one_vector(gradients, max_norm):
    return torch.cat([g.flatten() for g in gradients]) * factor(joint_norm(gradients), max_norm)


@wrong("02.6", "the tensors are flattened")
def shapes_lost(gradients, max_norm):
    vector = one_vector(gradients, max_norm)
    return list(vector.split([g.numel() for g in gradients]))


@wrong("02.6", "return the list of gradients alone")
def norm_returned_too(gradients, max_norm):
    norm = joint_norm(gradients)
    return [g * factor(norm, max_norm) for g in gradients], norm


@wrong("02.6", "`return` stands inside the loop")
def returns_too_early(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    for g in gradients:
        return [g * scale]


@wrong("02.6", "end the function with `return`")
def else_forgotten(gradients, max_norm):
    norm = joint_norm(gradients)
    if norm > max_norm:
        return [g * (max_norm / norm) for g in gradients]


@wrong("02.6", "cannot be stacked")
def different_shapes_stacked(gradients, max_norm):
    norm = float(torch.stack(gradients).norm())
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "A list is no tensor")
def list_times_number(gradients, max_norm):
    return gradients * factor(joint_norm(gradients), max_norm)


@wrong("02.6", "not a tensor")
def plain_lists(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    return [(g * scale).tolist() for g in gradients]


@wrong("02.6", "keep their type")
def in_single_precision(gradients, max_norm):
    scale = factor(joint_norm(gradients), max_norm)
    return [g.float() * scale for g in gradients]


@wrong("02.6", "torch.nn.utils.clip_grad may not be used here")
def ready_made(gradients, max_norm):
    parameters = [nn.Parameter(g.clone()) for g in gradients]
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = g.clone()
    functools.partial(nn.utils.clip_grad_norm_, max_norm=max_norm)(parameters)
    return [parameter.grad for parameter in parameters]


@wrong("02.6", "foreach_norm may not be used here")
def ready_made_norms(gradients, max_norm):
    norm = float(torch.stack(torch.ops.aten._foreach_norm(gradients)).norm())
    return [g * factor(norm, max_norm) for g in gradients]


@wrong("02.6", "clip_by_norm may not be used here")
def the_packages_own(gradients, max_norm):
    from minidistill.training import clip_by_norm

    copies = [g.clone() for g in gradients]
    clip_by_norm(copies, max_norm)
    return copies


@right("02.6")
def with_a_small_number(gradients, max_norm):
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    scale = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    return [g * scale for g in gradients]


@right("02.6")
def norm_of_norms(gradients, max_norm):
    norm = torch.stack([torch.linalg.vector_norm(g) for g in gradients]).norm()
    if norm > max_norm:
        return tuple(g / norm * max_norm for g in gradients)
    return tuple(gradients)


@right("02.6")
def a_generator(gradients, max_norm, eps=0.0):
    total = functools.reduce(lambda s, g: s + g.pow(2).sum(), gradients, 0.0)
    norm = total**0.5 + eps
    return (g.clone() if norm <= max_norm else g * (max_norm / norm) for g in gradients)


@right("02.6")
def by_hypot(gradients, max_norm):
    norm = math.hypot(*(float(g.norm()) for g in gradients))
    return list(map(lambda g: g.mul(factor(norm, max_norm)), gradients))


@right("02.6")
def by_division(gradients, max_norm):
    return [g / max(1.0, joint_norm(gradients) / max_norm) for g in gradients]


@right("02.6")
def slowly(gradients, max_norm):
    norm = sum(v * v for g in gradients for v in g.flatten().tolist()) ** 0.5
    return [torch.empty_like(g).copy_(g * factor(norm, max_norm)) for g in gradients]
