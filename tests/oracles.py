"""Slow, obvious, float64 references."""

import numpy as np


def round_to_nearest(weight: np.ndarray, bits: int, group: int, symmetric: bool) -> np.ndarray:
    """One weight at a time, in float64, groups along rows."""
    out = np.zeros(weight.shape, dtype=np.float64)
    for i, row in enumerate(weight.astype(np.float64)):
        for start in range(0, len(row), group):
            members = row[start : start + group]
            if symmetric:
                top = 2 ** (bits - 1) - 1
                scale, zero, low, high = max(abs(members)) / top, 0, -top, top
            else:
                lowest, highest = min(0.0, members.min()), max(0.0, members.max())
                low, high = 0, 2**bits - 1
                scale = (highest - lowest) / high
                zero = 0 if scale == 0 else round(-lowest / scale)
            for j, value in enumerate(members):
                code = 0 if scale == 0 else min(max(round(value / scale) + zero, low), high) - zero
                out[i, start + j] = code * scale
    return out


def lowest(scores: np.ndarray, count: int) -> np.ndarray:
    """Mask of the `count` lowest scores of a vector, the first of equal ones."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    mask = np.zeros(len(scores), dtype=bool)
    mask[order[:count]] = True
    return mask


def kl(p_logits: np.ndarray, q_logits: np.ndarray) -> np.ndarray:
    """D(p‖q) row by row in float64, from the definition."""
    p_logits, q_logits = p_logits.astype(np.float64), q_logits.astype(np.float64)
    p = np.exp(p_logits) / np.exp(p_logits).sum(-1, keepdims=True)
    q = np.exp(q_logits) / np.exp(q_logits).sum(-1, keepdims=True)
    return (p * np.log(p / q)).sum(-1)


def uncorrupted(inputs, target, *, first_sentinel: int, sentinels: int = 100) -> list[int]:
    """The text that span corruption took apart: every sentinel of the input replaced by its span of the target."""
    lowest_sentinel = first_sentinel - sentinels + 1
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for token in target[:-1]:
        if lowest_sentinel <= token <= first_sentinel:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    tokens: list[int] = []
    for token in inputs[:-1]:
        tokens.extend(spans[token] if lowest_sentinel <= token <= first_sentinel else [token])
    return tokens


def kron_sum(first, second) -> np.ndarray:
    """Sum of Kronecker products from the definition, with numpy's product."""
    return sum(np.kron(a.detach().numpy(), b.detach().numpy()) for a, b in zip(first, second, strict=True))


def grid_of(members, bits):
    """Scale and zero point of one row, in numpy."""
    low, high = min(members.min(), 0.0), max(members.max(), 0.0)
    scale = max((high - low) / (2**bits - 1), np.finfo(np.float64).tiny)
    return scale, np.round(-low / scale)


def gptq_by_columns(weight, gram, bits, size, order, damping=0.01, static=False):
    """GPTQ column by column, every later column updated at once (Frantar et al. 2023, eq. 2 and 3)."""
    original, w = weight.numpy().copy(), weight.numpy()[:, order].copy()
    hessian = gram.numpy()[np.ix_(order, order)].copy()
    hessian += damping * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    inverse = np.linalg.inv(hessian)
    rounded = np.zeros_like(w)
    grids = {}
    for i in range(w.shape[1]):
        group = (order[i] if static else i) // size
        for row in range(w.shape[0]):
            if (group, row) not in grids:
                source = original if static else w
                grids[group, row] = grid_of(source[row, group * size : (group + 1) * size], bits)
            scale, zero = grids[group, row]
            rounded[row, i] = (np.clip(np.round(w[row, i] / scale) + zero, 0, 2**bits - 1) - zero) * scale
        error = (w[:, i] - rounded[:, i]) / inverse[i, i]
        w[:, i:] -= np.outer(error, inverse[i, i:])
        # Eliminate column i from the inverse: what is left is the inverse for the columns that remain.
        inverse -= np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    result = np.zeros_like(rounded)
    result[:, order] = rounded
    return result
