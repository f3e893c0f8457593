"""An ONNX graph put together operator by operator: one step of a recurrent writer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.int8_engine import SCALE

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
OPSET, IR_VERSION = 18, 8  # of ONNX, late 2022: programs that run it need not be new


def onnx_step(
    graph: OnnxGraph, kind: str, number: int, x: str, parts: list[str]
) -> tuple[str, ...]:
    """One step of a layer, as in `rnn_step`, `lstm_step` and `gru_step`; names of the new parts."""
    add, (W_ih, W_hh, b_ih, b_hh) = graph.add, graph.layer(number)
    a = add("Gemm", x, W_ih, b_ih, transB=1)  # (B, gates * H)
    u = add("Gemm", parts[0], W_hh, b_hh, transB=1)
    if kind == "RNN":
        return (add("Tanh", add("Add", a, u)),)
    if kind == "LSTM":
        i, f, g, o = graph.split(add("Add", a, u), 4)
        kept = add("Mul", add("Sigmoid", f), parts[1])
        c = add("Add", kept, add("Mul", add("Sigmoid", i), add("Tanh", g)))
        return add("Mul", add("Sigmoid", o), add("Tanh", c)), c
    (a_r, a_z, a_n), (u_r, u_z, u_n) = graph.split(a, 3), graph.split(u, 3)
    r, z = add("Sigmoid", add("Add", a_r, u_r)), add("Sigmoid", add("Add", a_z, u_z))
    n = add("Tanh", add("Add", a_n, add("Mul", r, u_n)))
    return (add("Add", n, add("Mul", z, add("Sub", parts[0], n))),)  # n + z (h - n)


class OnnxGraph:
    """Operators and constants of an ONNX graph, as they come; values are known by their names."""

    def __init__(self, onnx: Any, tensors: dict[str, Tensor]) -> None:
        self.onnx, self.tensors = onnx, tensors
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, kind: str, *inputs: str, name: str | None = None, **settings: int) -> str:
        """One more operator; the name of what it gives."""
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], **settings))
        return name

    def split(self, value: str, count: int) -> list[str]:
        """The blocks of (B, count * H)."""
        names = [f"Split_{len(self.nodes)}_{part}" for part in range(count)]
        node = self.onnx.helper.make_node("Split", [value], names, axis=1, num_outputs=count)
        self.nodes.append(node)
        return names

    def weight(self, name: str) -> str:
        """A matrix or bias of the model in float32; int8 rows are stored and then scaled."""
        if name + SCALE not in self.tensors:
            return self.constant(name, self.tensors[name].float())
        if not any(name in node.output for node in self.nodes):  # a tied table is asked for twice
            q = self.constant(name + "_int8", self.tensors[name])
            scale = self.constant(name + SCALE, self.tensors[name + SCALE].float())
            self.add("DequantizeLinear", q, scale, name=name, axis=0)
        return name

    def layer(self, number: int) -> list[str]:
        """The matrices and biases of one recurrent layer, in the order of `WEIGHTS`."""
        return [self.weight(f"recurrent.{name}_l{number}") for name in WEIGHTS]

    def number(self, value: int | list[int]) -> str:
        """A whole number, or a list of them, as some operators want their settings."""
        return self.constant(f"number {value}", torch.tensor(value))

    def constant(self, name: str, tensor: Tensor) -> str:
        """A tensor that is stored in the file, once for each name."""
        if name not in self.constants:
            array = tensor.detach().cpu().contiguous().numpy()
            self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def model(self, inputs: dict[str, list], outputs: dict[str, list]) -> Any:
        """The finished model, with the shapes of what it takes and gives."""
        helper, types = self.onnx.helper, self.onnx.TensorProto
        values = [
            [
                helper.make_tensor_value_info(
                    name, types.INT64 if name == "tokens" else types.FLOAT, shape
                )
                for name, shape in side.items()
            ]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "one step", *values, list(self.constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


__all__ = ["WEIGHTS", "OnnxGraph", "onnx_step"]
