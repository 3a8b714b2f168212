"""Measured series, the figures made of them, and the table that shows them. Measures nothing that it knows by name."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.table import Table

from kata_grpc.db.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from rich.console import Console

    Operation = Callable[[], Awaitable[object]]

Unit = Literal["µs", "ms", "s", "/s", "MiB", "%", ""]


class MeasurementError(StartupError):
    """What was measured is not what was meant: no figure would be worth anything."""


def expect(found: object, expected: object, what: str) -> None:
    """Stop the run unless a measured operation did what it is measured for."""
    if found != expected:
        raise MeasurementError(f"The measurement is wrong: {what}: {found}, not {expected}.")


@dataclass(slots=True)
class Series:
    """Values of one operation in the order measured, a list a repetition."""

    repetitions: list[list[float]] = field(default_factory=list)

    @property
    def medians(self) -> list[float]:
        """The median of each repetition."""
        return [statistics.median(values) for values in self.repetitions]

    @property
    def p50(self) -> float:
        """The median of the repetitions' medians."""
        return statistics.median(self.medians)

    @property
    def p99(self) -> float:
        """Over all repetitions together."""
        values = sorted(value for values in self.repetitions for value in values)
        return values[min(len(values) - 1, int(len(values) * 0.99))]


@dataclass(frozen=True, slots=True)
class Spread:
    """A ratio taken inside each repetition."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.least:.2f}-{self.most:.2f}]"


def spread(values: Sequence[float]) -> Spread:
    """Summarise the ratios of the repetitions."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(of: Series, *to: Series) -> Spread:
    """Divide the medians of each repetition by the sum of those that stand beside them."""
    beside = zip(*(series.medians for series in to), strict=True)
    return spread([value / sum(floors) for value, floors in zip(of.medians, beside, strict=True)])


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to hold; `of` says whether its ratio or its value is held against the bound."""

    sign: Literal["<=", ">=", "<"]
    bound: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, value: float) -> bool:
        """Whether a measured number is within the bound."""
        match self.sign:
            case "<=":
                return value <= self.bound
            case ">=":
                return value >= self.bound
            case "<":
                return value < self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; times are in milliseconds where the unit is ms."""

    key: str
    title: str
    unit: Unit
    value: float
    p99: float | None = None
    floor_title: str = ""
    floor: float | None = None
    ratio: Spread | None = None
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is held; None where there is none."""
        if self.target is None:
            return None
        if self.target.of == "value":
            return self.target.met(self.value)
        return self.ratio is not None and self.target.met(self.ratio.median)

    def as_json(self) -> dict[str, object]:
        """Return the figure as plain values."""
        return asdict(self) | {"met": self.met}


def compared(
    key: str, title: str, series: Series, floor_title: str, *floors: Series, target: Target | None = None
) -> Figure:
    """Make a figure of a series of seconds beside the sum of its floors."""
    return Figure(
        key=key,
        title=title,
        unit="ms",
        value=series.p50 * 1000,
        p99=series.p99 * 1000,
        floor_title=floor_title,
        floor=sum(floor.p50 for floor in floors) * 1000,
        ratio=ratio(series, *floors),
        target=target,
    )


async def alternate(
    operations: Mapping[str, Operation], *, repetitions: int, calls: int, warmup: int = 10
) -> dict[str, Series]:
    """Time operations call by call in turn, so that whatever slows the machine down slows all of them.

    The order is turned round with every call: none always runs behind the same other.
    """
    names = list(operations)
    series = {name: Series() for name in names}
    for _ in range(warmup):
        for name in names:
            await operations[name]()
    for _ in range(repetitions):
        for name in names:
            series[name].repetitions.append([])
        for call in range(calls):
            for name in names if call % 2 else reversed(names):
                started = time.perf_counter()
                await operations[name]()
                series[name].repetitions[-1].append(time.perf_counter() - started)
    return series


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print the table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", overflow="fold", ratio=3)
    table.add_column("p50", justify="right", no_wrap=True)
    table.add_column("p99", justify="right", no_wrap=True)
    table.add_column("floor", overflow="fold", ratio=2)
    table.add_column("ratio [min-max]", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for figure in figures:
        floor = f"{_number(figure.floor, figure.unit)} {figure.floor_title}" if figure.floor is not None else ""
        goal = figure.target
        target = f"{goal.sign} {goal.bound:g}{_suffix(figure.unit) if goal.of == 'value' else ''}" if goal else ""
        verdict = {None: "", True: "[green]met[/]", False: "[bold red]MISSED[/]"}[figure.met]
        table.add_row(
            figure.title,
            _number(figure.value, figure.unit),
            _number(figure.p99, figure.unit) if figure.p99 is not None else "",
            floor,
            str(figure.ratio) if figure.ratio else "",
            target,
            verdict,
        )
    console.print(table)


def _suffix(unit: Unit) -> str:
    return unit if unit in ("", "/s", "%") else f" {unit}"


def _number(value: float, unit: Unit) -> str:
    digits = 0 if value >= 100 or unit == "" else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{_suffix(unit)}"
