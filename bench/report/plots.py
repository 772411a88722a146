"""Style of the plots, and the pieces that several of them share: colours, grids, labels that make room."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY, BLACK = "#CC79A7", "#56B4E9", "#8C8C8C", "#222222"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe and Ito's colours (2008), which colour-blind readers can tell apart."""
SHADE = "#D6E6F2"
DPI = 120
WIDTH = 8.6
"""Inches of a plot in a page."""
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "lm-compression-bench",
}


def png(figure: Figure) -> bytes:
    """Bytes of a figure; the same figure gives the same bytes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        held = io.BytesIO()
        # A cramped plot, such as of a run at toy size, must not cost the pages.
        warnings.filterwarnings("ignore", category=UserWarning, module="matplotlib")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(held, format="png", dpi=DPI, metadata={"Software": None})
    return held.getvalue()


def small_multiples(count: int, *, columns: int, height: float, share_y: bool = True) -> tuple[Figure, list[Axes]]:
    """Figure with so many panels, row by row, and none left empty."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, height * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharey=share_y, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def tokens_axis(axes: Axes, ticks: Sequence[float]) -> None:
    """Axis of doublings, with the measured lengths written out."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(ticks), [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()


def plain_log(axes: Axes, which: str, ticks: Sequence[float]) -> None:
    """Logarithmic axis with plain numbers at the ticks that lie on it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    axis.set_ticks([tick for tick in ticks if low * 0.999 <= tick <= high * 1.001])
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_ticks([], minor=True)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places moved apart so that neighbours are at least `gap` away, order kept and the middle of each crowd kept."""
    order = np.argsort(np.asarray(places), kind="stable")
    crowds: list[tuple[float, list[int]]] = []
    for index in order:
        crowds.append((float(places[index]), [int(index)]))
        while len(crowds) > 1 and _touch(crowds[-2], crowds[-1], gap):
            right, left = crowds.pop(), crowds.pop()
            members = left[1] + right[1]
            crowds.append((sum(places[i] for i in members) / len(members), members))
    moved = [0.0] * len(places)
    for middle, members in crowds:
        for position, index in enumerate(members):
            moved[index] = middle + (position - (len(members) - 1) / 2) * gap
    return moved


def _touch(left: tuple[float, list[int]], right: tuple[float, list[int]], gap: float) -> bool:
    reach = gap * (len(left[1]) + len(right[1])) / 2
    return right[0] - left[0] < reach


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], *, gap: float = 10.5) -> None:
    """Label lines where they end, moved apart where they would overprint.

    Args:
        axes: with its limits and scales set.
        ends: x, y, text and colour of each line's end.
        gap: points between two labels.
    """
    if not ends:
        return
    per_point = axes.figure.dpi / 72
    shown = [axes.transData.transform((x, y)) for x, y, _, _ in ends]
    moved = spread([float(y) / per_point for _, y in shown], gap)
    for (x, y, text, colour), (_, at), place in zip(ends, shown, moved, strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(6, place - float(at) / per_point),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
        )


LEADER = 12
"""Points between a label and its point from which on a thin line joins them."""
_ANGLES = (0.4, -0.4, 2.7, -2.7, 1.57, -1.57, 1.0, -1.0, 2.1, -2.1, 0.0, 3.14)
_REACHES = (7, 14, 22, 32, 44, 58, 74, 92)


def label_points(axes: Axes, points: Sequence[tuple[float, float, str, str]]) -> list[Annotation]:
    """Label points so that no label lies on another or on a point; one that had to move far has a line to its point."""
    renderer = FigureCanvasAgg(axes.get_figure(root=True)).get_renderer()  # type: ignore[arg-type]
    per_point = axes.figure.dpi / 72
    taken = [_around(axes.transData.transform((x, y)), 4) for x, y, _, _ in points]
    done: list[Annotation] = []
    for x, y, text, colour in points:
        note = axes.annotate(text, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8, color=colour)
        box = note.get_window_extent(renderer)
        half = (box.width / 2, box.height / 2)
        offset = _free_place(axes, axes.transData.transform((x, y)), half, taken)
        _put(axes, note, (offset[0] / per_point, offset[1] / per_point), (half[0] / per_point, half[1] / per_point))
        taken.append(note.get_window_extent(renderer).extents)
        done.append(note)
    return done


def _put(axes: Axes, note: Annotation, offset: tuple[float, float], half: tuple[float, float]) -> None:
    """Move a label's middle to its offset in points, and join it to its point where that is far."""
    note.set_position(offset)
    note.set(ha="center", va="center")
    note.set_path_effects([patheffects.withStroke(linewidth=2, foreground="white")])
    near = (_nearest(offset[0], half[0]), _nearest(offset[1], half[1]))
    if math.hypot(*near) > LEADER:
        line = {
            "arrowstyle": "-",
            "color": note.get_color(),
            "linewidth": 0.6,
            "alpha": 0.8,
            "shrinkA": 0,
            "shrinkB": 3,
        }
        axes.annotate("", note.xy, xytext=near, textcoords="offset points", arrowprops=line)


def _nearest(middle: float, half: float) -> float:
    """The nearest coordinate to zero of an extent around a middle."""
    return math.copysign(max(abs(middle) - half, 0.0), middle)


def _around(point: Any, radius: float) -> Any:
    return np.array([point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius])


def _free_place(axes: Axes, point: Any, half: tuple[float, float], taken: list[Any]) -> tuple[float, float]:
    """The offset, in pixels, of the nearest free place for the middle of a label of that half-size."""
    frame, per_point = axes.get_window_extent(), axes.figure.dpi / 72
    for reach in _REACHES:
        for angle in _ANGLES:
            x = math.cos(angle) * (reach * per_point + half[0])
            y = math.sin(angle) * (reach * per_point + half[1])
            middle = (point[0] + x, point[1] + y)
            box = (middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
            inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
            if inside and not any(_overlap(box, other) for other in taken):
                return x, y
    return half[0] + 5 * per_point, 0.0


def _overlap(one: Any, other: Any) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
