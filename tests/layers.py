"""Layers with given or random weights, and what calibration measures of their inputs."""

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


def layer_of(weight):
    """Linear layer with a weight and no bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return layer


def hooks(model):
    """Number of hooks in a model."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def correlated(d_out, d_in, seed, tokens=200, dtype=torch.float64):
    """Weight, and Gram matrix of inputs that depend on each other, and these inputs."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d_in, d_in, generator=generator, dtype=dtype)
    inputs = torch.randn(tokens, d_in, generator=generator, dtype=dtype) @ mix
    return torch.randn(d_out, d_in, generator=generator, dtype=dtype), inputs.T @ inputs, inputs


def measured(layer, inputs, kind):
    """Statistic of inputs that come in batches of seven."""
    statistic = kind(layer)
    for part in inputs.split(7):
        statistic.add(part)
    return statistic


def random(*shape, seed=0):
    """Random float64 tensor."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Waits(TorchDispatchMode):
    """Counter of the operations that make a program wait for a GPU: a value read, or a shape that depends on one."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name in {"index", "index_put", "index_put_"} and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.count += masks or name in {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"}
        return func(*args, **(kwargs or {}))


def waits(action):
    """Number of times that an action would wait for a GPU."""
    with Waits() as mode:
        action()
    return mode.count
