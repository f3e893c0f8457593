"""A B^T in float32 by the faster of the two libraries that PyTorch has on a CPU.

PyTorch's float32 products call MKL, which on processors that are not Intel's stops at AVX2; its
convolutions call oneDNN, which uses AVX-512 wherever it is. A product is a convolution of width 1,
and was 1.9 to 2.3 times as fast that way on an AMD processor: the same numbers, added up in
another order.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b^T for a (M, K) and b (N, K): (M, N).

    Where float32 products were allowed to be rougher (`set_float32_matmul_precision`), and on
    every other device and precision, it is `a @ b.T`.
    """
    if not (_by_convolution(a) and a.numel() and b.numel()):
        return a @ b.T
    if a.stride(0) == 1:  # a transposed table is an image of K channels as it lies
        return F.conv1d(a.T[None], b[:, :, None])[0].T
    image = a.contiguous()[None, :, None].permute(0, 3, 1, 2)  # (1, K, M, 1), channels last
    return F.conv2d(image, b[:, :, None, None])[0, :, :, 0].T


def _by_convolution(a: Tensor) -> bool:
    plain = a.device.type == "cpu" and a.dtype == torch.float32
    return plain and torch.get_float32_matmul_precision() == "highest" and _has_wide_units()


@cache
def _has_wide_units() -> bool:
    return (
        torch.backends.mkldnn.is_available() and "AVX512" in torch.backends.cpu.get_cpu_capability()
    )


__all__ = ["product"]
