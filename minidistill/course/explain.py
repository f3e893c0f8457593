"""What an error in a student's code means, in words to act on."""

from __future__ import annotations

import linecache
import os
import traceback
from pathlib import Path

import torch

import minidistill


def explain_error(error: BaseException) -> str:
    """What the student's code raised, where, and what that usually means."""
    line = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(_NOT_THEIRS):
            continue
        code = linecache.getline(frame.filename, frame.lineno or 0).strip()
        line = f" in line {frame.lineno} of {frame.name} ({code})" if code else ""
        break
    try:
        text = str(error).strip().splitlines()
    except Exception:  # an error of the student's own that cannot even be printed
        text = []
    if text and text[0].startswith("your "):  # raised by `plain`, about what came back
        return text[0]
    message = f"your code raised {type(error).__name__}{line}: {text[0] if text else ''}"
    for symptom, meaning in _MEANINGS.items():
        if symptom in f"{type(error).__name__}: {' '.join(text)}":
            return f"{message.rstrip('. ')}. {meaning}"
    return message


_NOT_THEIRS = tuple(str(Path(f).parent) + os.sep for f in (minidistill.__file__, torch.__file__))
"""Folders whose frames say nothing about the student's own line."""


_MEANINGS = {
    "same dtype": "New tensors must have the input's type: x.new_zeros(...), not torch.zeros.",
    "expected scalar type": "New tensors must have the input's type: x.new_zeros(...).",
    "shapes cannot be multiplied": "Weights are stored (out, in): multiply by W.T.",
    "must match the size of tensor": "Write the shapes beside each line and see which two meet.",
    "sort() takes from": "With stable=True, sort and argsort take everything by name: dim=-1.",
    "selected index k out of range": "topk cannot give more than there are: topk(min(k, V)).",
    "positional argument": "The function must take the arguments named in the exercise.",
    "unexpected keyword argument": "It must take the arguments named in the exercise.",
    "cannot be converted to Scalar": "math and float() take one number: use torch's functions.",
    "only one element tensors": "math.tanh, float and .item() take one number: use torch's own.",
    "only integer tensors of a single": "math and indices take one number: use torch's functions.",
    "Boolean value of Tensor": "`if` needs one True or False: torch.where chooses for each entry.",
    "before Module.__init__": "Begin __init__ with super().__init__().",
    "can't multiply sequence": "A list is no tensor: go through its entries one by one.",
    "NameError": "Is the name spelt right, and has the cell that makes it been run?",
    "does not require grad": "A parameter with requires_grad=False is never trained.",
    "SystemExit": "Leave exit() and quit() out: end a function with return.",
    "Class values must be non-negative": "-100 is no id: put a valid id in its place first.",
    "condition to be a boolean": "A mask holds True and False: is it the mask that came here?",
    "index -100 is out": "-100 marks padding and is no id: put a valid id in its place first.",
    "is out of bounds": "An index is not in that dimension: is it the right one, counted from 0?",
    "inplace operation": "An in-place change destroyed a value that the gradient needs.",
    "Leaf variable": "Do not write into a parameter: make a new tensor.",
    "leaf Variable": "Do not write into a parameter: make a new tensor.",
    "division by zero": "Think of the empty case: no entries, only padding, a norm of 0.",
    "Missing key": "The parameters must have the names and shapes given in the exercise.",
    "Unexpected key": "The parameters must have the names and shapes given in the exercise.",
    "size mismatch": "The parameters must have the names and shapes given in the exercise.",
    "KeyError": "No such key: a dictionary's .get(key, default) answers for a missing one, too.",
    "is not in list": ".index fails where the value is missing: say what shall happen then.",
    "index out of range": "An index runs past the end: think of the last place and of no entries.",
    "list indices must be": "A list is asked by place, a dictionary by key: which do you have?",
    "is invalid for input of size": "The shape must hold all entries: how many are to be used?",
    "to be equal size": "Tensors of different shapes cannot be stacked: keep them in a list.",
    "expected sequence of length": "Rows of different lengths make no tensor: fill them up first.",
    "empty sequence": "Think of the empty case: no entries at all.",
    "is empty": "Think of the empty case: no entries at all.",
    "recursion depth": "A function that calls itself for every entry cannot go that deep: loop.",
    "'NoneType' object": "list.append, list.sort and the like return None: do not assign it.",
}
