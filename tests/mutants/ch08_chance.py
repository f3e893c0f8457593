"""Answers to 08.1 log_expected_count as students write them, wrong and right."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong


@wrong("08.1", "how often the class is expected to come")
def expected_draws(p, time):
    return (p * time).log()


@wrong("08.1", "this is Q")
def chance_itself(p, time):
    return -torch.expm1(-p * time)


@wrong("08.1", "a number of draws settled beforehand")
def fixed_draws(p, time):
    return (1 - (1 - p) ** time).log()


@wrong("08.1", "a number of draws settled beforehand")
def fixed_draws_with_digits(p, time):
    return (-torch.expm1(time * torch.log1p(-p))).log()


@wrong("08.1", "time is forgotten")
def no_time(p, time):
    return (-torch.expm1(-p)).log()


@wrong("08.1", "the logarithm of p alone")
def log_p(p, time):
    return p.log()


@wrong("08.1", "the sign is wrong")
def positive(p, time):
    return -(-torch.expm1(-p * time)).log()


@wrong("08.1", "torch.expm1(-p * t) is the same")
def one_minus_exp(p, time):
    return (1 - torch.exp(-p * time)).log()


@wrong("08.1", "rounding alone")
def log1p_of_exp(p, time):
    return torch.log1p(-torch.exp(-p * time))


@wrong("08.1", "at each of t draws")
def power(p, time):
    return (p**time).log()


@wrong("08.1", "at each of t draws")
def time_times_log_p(p, time):
    return time * p.log()


@wrong("08.1", "has not come: 1 less that")
def not_come(p, time):
    return -p * time


@wrong("08.1", "Q comes out below 0")
def no_minus(p, time):
    return (1 - torch.exp(p * time)).log()


@wrong("08.1", "Q comes out below 0")
def expm1_without_minus(p, time):
    return torch.expm1(-p * time).log()


@wrong("08.1", "it has no lowest value")
def lowest_value(p, time):
    return (-torch.expm1(-p * time)).clamp(min=1e-10).log()


@wrong("08.1", "nothing may be added to Q")
def number_added(p, time):
    return (-torch.expm1(-p * time) + 1e-20).log()


@wrong("08.1", "time may be inf")
def series_for_ever(p, time):
    x = p * time
    small = x < 1e-4
    exact = (x * (1 - torch.exp(-x)) / x).log()
    return torch.where(small, x.log() - x / 2, exact)


@wrong("08.1", "more than the computer")
def e_to_a_large_number(p, time):
    x = p * time
    return (torch.expm1(x) / torch.exp(x)).log() if time != math.inf else torch.zeros_like(p)


@wrong("08.1", "cannot convert float infinity")
def whole_time(p, time):
    return (-torch.expm1(-p * float(time))).log() + 0 * math.floor(time)


@wrong("08.1", "time is cut to a whole number")
def time_cut(p, time):
    time = time if time == math.inf else int(time)
    return (-torch.expm1(-p * time)).log()


@wrong("08.1", "divided by their sum")
def made_to_add_up(p, time):
    q = -torch.expm1(-p * time)
    return (q / q.sum()).log()


@wrong("08.1", "the base of the logarithm is 2")
def bits(p, time):
    return torch.log2(-torch.expm1(-p * time))


@wrong("08.1", "take one number")
def math_of_a_tensor(p, time):
    return math.log(1 - math.exp(-p * time))


@wrong("08.1", "time is a plain number here")
def time_must_be_a_tensor(p, time):
    return (-torch.expm1(-p * time.to(p))).log()


@wrong("08.1", "torch.float64")
def single_precision(p, time):
    return (-torch.expm1(-p.float() * time)).log()


@wrong("08.1", "p is taken for a logarithm")
def from_logarithms(p, time):
    return (-torch.expm1(-p.exp() * time)).log()


@wrong("08.1", "two mistakes at once")
def bits_without_time(p, time):
    return torch.log2(-torch.expm1(-p))


@right("08.1")
def expm1(p, time):
    return torch.log(-torch.special.expm1(-p * time))


@right("08.1")
def two_forms(p, time):
    x = p * time
    return torch.where(x < math.log(2), (-torch.expm1(-x)).log(), torch.log1p(-torch.exp(-x)))


@right("08.1")
def infinity_apart(p, time):
    if float(time) == math.inf:
        return torch.zeros_like(p)
    return torch.expm1(-(p * time)).neg().log()


@right("08.1")
def by_sinh(p, time):
    half = p * time / 2
    small = half.clamp(max=1.0)
    near = (2 * torch.sinh(small)).log() - small
    return torch.where(half < 1, near, torch.log1p(-torch.exp(-2 * half)))


@right("08.1")
def number_by_number(p, time):
    found = [math.log(-math.expm1(-x * float(time))) for x in p.flatten().tolist()]
    return p.new_tensor(found).view_as(p)
