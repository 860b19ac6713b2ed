"""Logistic regression in plain Python: sparse for words, dense for the few numbers that blend the layers.

    fit(problem) -> one parameter a term          L-BFGS over messages that are tuples of column numbers
    fit_few(rows, targets, weights, towards)      Newton's method for two to four parameters

A column is what a message holds (a word, a pair); its weight is the sum of its parameters: its own, and for a word those
of its parts, which it shares with other words. Nothing is drawn by lot, and sums are taken in the order given.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log1p
from operator import mul
from typing import Final

ROUNDS: Final = 30  # at most; the weights that decide have settled by then
MEMORY: Final = 5  # steps that L-BFGS looks back on
SETTLED: Final = 1e-4  # relative gain of a round below which it stops
RIDGE: Final = 10.0  # pull of every parameter towards 0, which is the prior


@dataclass(frozen=True, slots=True)
class Problem:
    """Messages as columns, and what they should say."""

    rows: Sequence[tuple[int, ...]]  # the columns of a message
    scales: Sequence[float]  # by which a message's sum is multiplied: a long one shouts no louder
    offsets: Sequence[float]  # what a prior model says of it, scaled
    targets: Sequence[int]  # 1 or -1
    weights: Sequence[float]  # of a message
    columns: Sequence[tuple[int, ...]]  # the parameters of a column
    ratios: Sequence[float]  # by which a parameter is multiplied: naive Bayes' opinion of its term


def fit(problem: Problem, tick: Callable[[], None]) -> list[float]:
    """The parameters that explain the targets, each pulled towards 0; the last one is the constant.

    ``tick`` is called once a round.
    """
    x = [0.0] * (len(problem.ratios) + 1)
    loss, gradient = _loss(problem, x)
    steps: list[tuple[list[float], list[float], float]] = []
    for _ in range(ROUNDS):
        tick()
        direction = _direction(gradient, steps)
        slope = sum(map(mul, direction, gradient))
        if slope >= 0:
            break
        size = 1.0 if steps else 1.0 / (1.0 + sum(map(abs, gradient)) / 100)
        for _ in range(12):
            there = [a + size * b for a, b in zip(x, direction, strict=True)]
            new_loss, new_gradient = _loss(problem, there)
            if new_loss <= loss + 1e-4 * size * slope:
                break
            size /= 3
        else:
            break
        moved = [a - b for a, b in zip(there, x, strict=True)]
        turned = [a - b for a, b in zip(new_gradient, gradient, strict=True)]
        curvature = sum(map(mul, moved, turned))
        if curvature > 0:
            steps = [*steps[1 - MEMORY :], (moved, turned, curvature)]
        gain = loss - new_loss
        x, loss, gradient = there, new_loss, new_gradient
        if gain < SETTLED * abs(loss):
            break
    return x


def _direction(gradient: list[float], steps: list[tuple[list[float], list[float], float]]) -> list[float]:
    """The downhill direction of L-BFGS: the gradient, corrected by what the last steps told of the curvature."""
    direction = [-g for g in gradient]
    shares: list[float] = []
    for moved, turned, curvature in reversed(steps):
        share = sum(map(mul, moved, direction)) / curvature
        shares.append(share)
        direction = [d - share * t for d, t in zip(direction, turned, strict=True)]
    if steps:
        _, turned, curvature = steps[-1]
        stretch = curvature / sum(map(mul, turned, turned))
        direction = [stretch * d for d in direction]
    for (moved, turned, curvature), share in zip(steps, reversed(shares), strict=True):
        back = share - sum(map(mul, turned, direction)) / curvature
        direction = [d + back * m for d, m in zip(direction, moved, strict=True)]
    return direction


def column_weights(columns: Sequence[tuple[int, ...]], ratios: Sequence[float], x: Sequence[float]) -> list[float]:
    """What each column adds to a message."""
    pull = list(map(mul, ratios, x))  # the constant, one further, is left out
    at = pull.__getitem__
    return [pull[c[0]] if len(c) == 1 else sum(map(at, c)) for c in columns]


def _loss(problem: Problem, x: list[float]) -> tuple[float, list[float]]:
    columns, ratios = problem.columns, problem.ratios
    at = column_weights(columns, ratios, x).__getitem__
    slopes = [0.0] * len(columns)
    constant = x[-1]
    constant_slope = RIDGE * constant
    loss = RIDGE / 2 * sum(map(mul, x, x))
    for row, scale, offset, target, weight in zip(
        problem.rows, problem.scales, problem.offsets, problem.targets, problem.weights, strict=True
    ):
        margin = target * (scale * sum(map(at, row)) + offset + constant)
        if margin > 30:
            continue  # certain and right: e**-30 moves nothing
        if margin > 0:
            odds = exp(-margin)
            loss += weight * log1p(odds)
            pull = -target * weight * odds / (1.0 + odds)
        else:
            odds = exp(max(margin, -700.0))
            loss += weight * (log1p(odds) - margin)
            pull = -target * weight / (1.0 + odds)
        constant_slope += pull
        pull *= scale
        for column in row:
            slopes[column] += pull
    gradient = [RIDGE * value for value in x]
    for parameters, slope in zip(columns, slopes, strict=True):
        if slope:
            for parameter in parameters:
                gradient[parameter] += ratios[parameter] * slope
    gradient[-1] = constant_slope
    return loss, gradient


def fit_few(
    rows: Sequence[tuple[float, ...]],
    targets: Sequence[int],
    weights: Sequence[float],
    towards: Sequence[float],
    pull: float,
) -> list[float]:
    """Logistic regression of a few numbers by Newton's method, each pulled towards where it starts."""
    count = len(towards)
    x = list(towards)
    for _ in range(25):
        gradient = [pull * (value - start) for value, start in zip(x, towards, strict=True)]
        hessian = [[pull if i == j else 0.0 for j in range(count)] for i in range(count)]
        for row, target, weight in zip(rows, targets, weights, strict=True):
            margin = target * sum(map(mul, x, row))
            chance = 1.0 / (1.0 + exp(min(max(margin, -700.0), 700.0)))
            slope = -target * weight * chance
            bend = weight * chance * (1.0 - chance)
            for i, value in enumerate(row):
                gradient[i] += slope * value
                for j, other in enumerate(row):
                    hessian[i][j] += bend * value * other
        step = _solve(hessian, gradient)
        longest = max(map(abs, step))
        shrink = min(1.0, 2.0 / longest) if longest else 1.0
        x = [value - shrink * s for value, s in zip(x, step, strict=True)]
        if longest < 1e-6:
            break
    return x


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss' elimination for a positive definite matrix."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    count = len(rows)
    for i in range(count):
        pivot = rows[i][i]
        for j in range(i + 1, count):
            factor = rows[j][i] / pivot
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    found = [0.0] * count
    for i in reversed(range(count)):
        rest = sum(rows[i][j] * found[j] for j in range(i + 1, count))
        found[i] = (rows[i][count] - rest) / rows[i][i]
    return found


def auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """The chance that one of ``higher`` stands above one of ``lower``, ties half; None where one of them is empty."""
    if not higher or not lower:
        return None
    below = sorted(lower)
    above = sum(bisect_left(below, one) + bisect_right(below, one) for one in higher)
    return above / 2 / len(higher) / len(lower)
