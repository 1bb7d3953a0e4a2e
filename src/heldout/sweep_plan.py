"""A plan for a sweep of a million members on a hundred GPUs, simulated before anyone pays for it.

Measured: what a task costs beside its members (the way through scheduler, worker and back; the key, the file, its reading), the
size of its file, and from a committed record of a GPU how long a member takes. Assumed, and set in the config: how often a worker
is lost, how long until another stands in its place, and how much members differ in time. Source: this book.

Axes: seed (of the simulation), members_per_task.
Deviations: the way through the scheduler is measured with client, scheduler and workers on one machine, which is more than the
scheduler's own part; network and shared disk of a cluster are not simulated.
"""

import heapq
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

from heldout.claims import Claim, Control, Evidence, across_seeds
from heldout.devices import numpy_generator
from heldout.experiment import Progress, recorded, require, variable
from heldout.figures import style
from heldout.sweep_costs import Costs, measured

PARTS = {
    "keeping": "writing tasks",
    "waiting": "waiting for the scheduler",
    "again": "lost with a worker",
    "idle": "idle at the end",
}
COLORS = (style.BLUE, style.VERMILION, style.GREEN, style.PINK)
BUSY = 0.95  # of the GPUs' time that should go into members


@dataclass(frozen=True, kw_only=True)
class Config:
    """The sweep, the cluster, and what is assumed of it."""

    source: str = "double_descent.triple_descent"  # its PAPER record gives a member's time and the size of its file
    outcome: str = "test_mse"  # a value of it for every member
    members: int = 1_000_000
    gpus: int = 100
    members_per_task: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
    spread: float = 0.1  # standard deviation of the logarithm of a task's time
    hours_between_losses: float = 100.0  # of one worker
    minutes_to_replace: float = 5.0
    measured_tasks: int = 300
    num_seeds: int = 5
    first_seed: int = 100

    def __post_init__(self) -> None:
        sizes = self.members_per_task or (0,)
        require(min(sizes) >= 1, "members_per_task", self.members_per_task, "at least 1 each")
        require(max(sizes) * self.gpus <= self.members, "members_per_task", sizes, "enough tasks for every GPU")
        require(self.gpus >= 1, "gpus", self.gpus, "at least 1")
        require(self.spread >= 0, "spread", self.spread, "0 or more")
        require(self.hours_between_losses > 0, "hours_between_losses", self.hours_between_losses, "above 0")
        require(self.minutes_to_replace >= 0, "minutes_to_replace", self.minutes_to_replace, "0 or more")
        require(self.measured_tasks >= 1, "measured_tasks", self.measured_tasks, "at least 1")
        require(self.num_seeds >= 1, "num_seeds", self.num_seeds, "at least 1")


SMOKE = Config(members=10_000, gpus=10, members_per_task=(1, 30, 1000), measured_tasks=20, num_seeds=2, first_seed=0)
BOOK = Config()
PAPER = Config(num_seeds=20)


@recorded
def run(config: Config, *, device: torch.device, progress: Progress) -> xr.Dataset:  # noqa: ARG001  # nothing here uses one
    """Measure a task's costs on this machine, then simulate the cluster for every size of task.

    Returns:
        lost (seed, members_per_task, part): shares of the GPUs' time that went into no member; hours (seed,
        members_per_task) to the last task; scheduler_load, the share of that time in which the scheduler is busy;
        store_bytes, tasks and collect_hours, the time to put all into one dataset (members_per_task).
    """
    costs = measured(config.source, config.outcome, config.measured_tasks)
    seeds = list(range(config.first_seed, config.first_seed + config.num_seeds))
    shape = (len(seeds), len(config.members_per_task))
    lost, hours, load = np.empty((*shape, len(PARTS))), np.empty(shape), np.empty(shape)
    for s, seed in enumerate(seeds):
        for k, size in enumerate(config.members_per_task):
            seconds, parts = simulate(config, costs, size, seed)
            lost[s, k] = parts
            hours[s, k] = seconds / 3600
            load[s, k] = config.members / size * costs.dispatch_seconds / seconds
        progress(s + 1, len(seeds))
    tasks = np.ceil(config.members / np.array(config.members_per_task))
    bytes_ = tasks * costs.file_bytes + config.members * costs.member_bytes
    dims = ("seed", "members_per_task")
    return xr.Dataset(
        {
            "lost": variable((*dims, "part"), lost, "share of the GPUs' time that went into no member"),
            "hours": variable(dims, hours, "time to the last task", "h"),
            "scheduler_load": variable(dims, load, "share of the time in which the scheduler is busy"),
            "tasks": variable("members_per_task", tasks, "tasks"),
            "store_bytes": variable("members_per_task", bytes_, "size of the store", "bytes"),
            "collect_hours": variable(
                "members_per_task", tasks * costs.collect_seconds / 3600, "time to put the tasks together", "h"
            ),
        },
        {
            "seed": seeds,
            "members_per_task": variable("members_per_task", config.members_per_task, "members a task"),
            "part": list(PARTS),
        },
        vars(costs)
        | {"members": config.members, "gpus": config.gpus, "workers_lost_hours": config.hours_between_losses},
    )


def simulate(config: Config, costs: Costs, size: int, seed: int) -> tuple[float, list[float]]:
    """One sweep: seconds to its last task, and of the GPUs' time the shares that went into no member, in the order of PARTS.

    Tasks go to the next free GPU, one after the other through the scheduler. A GPU lost in the middle of a task loses what it had
    done of it. The task goes to the next that is free, and a replacement comes later.
    """
    draw = numpy_generator("sweep plan", seed, size)
    count = -(-config.members // size)
    members = np.full(count, size)
    members[-1] = config.members - size * (count - 1)
    work = members * costs.member_seconds * np.exp(config.spread * draw.standard_normal(count) - config.spread**2 / 2)
    # Seconds of life left to a GPU; drawn anew with every task, since a loss does not depend on what was before.
    mean_life = 3600 * config.hours_between_losses
    life = draw.exponential(mean_life, count)
    replace, keep, dispatch = 60 * config.minutes_to_replace, costs.keep_seconds, costs.dispatch_seconds
    free, back = [0.0] * config.gpus, list[tuple[float, int]]()  # when each GPU is free; tasks that came back, and when
    deaths = list[float]()
    scheduler, waited, again, idle, last, task = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    while task < count or back:
        ready, number, left = free[0], task, 0.0
        if back and (back[0][0] <= ready or task == count):
            since, number = heapq.heappop(back)
            left = draw.exponential(mean_life)
            idle += max(0.0, since - ready)
            ready = max(since, ready)
        else:
            left = float(life[task])
            task += 1
        scheduler = max(scheduler, ready) + dispatch
        waited += scheduler - ready
        end = scheduler + keep + float(work[number])
        if scheduler + left < end:
            again += left
            deaths.append(scheduler + left)
            heapq.heappush(back, (deaths[-1], number))
            heapq.heapreplace(free, deaths[-1] + replace)
        else:
            last = max(last, end)
            heapq.heapreplace(free, end)
    again += sum(min(replace, max(0.0, last - death)) for death in deaths)
    idle += sum(max(0.0, last - end) for end in free)
    total = config.gpus * last
    return last, [count * keep / total, waited / total, again / total, idle / total]


def plot(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """The share of GPU time lost against the size of a task: the sum with its band over simulations, its parts as means."""
    ax = style.axes(ax)
    sizes, lost = result.members_per_task.values, result.lost.mean("seed")
    for part, color in zip(PARTS, COLORS, strict=True):
        shown = np.maximum(lost.sel(part=part).values, 1e-6)
        ax.plot(sizes, shown, color=color, linestyle="--", linewidth=1.3, label=PARTS[part])
    style.band(ax, sizes, result.lost.sum("part").values, color=style.INK, label="together")
    best = int(numbers(result)["best_size"])
    ax.axvline(best, ymax=0.68, color=style.MUTED, linewidth=0.8)
    ax.set(xscale="log", yscale="log", ylim=(1e-4, 8))
    ax.set(xlabel="members a task (log scale)", ylabel="share of GPU time lost (log scale)")
    ax.legend(loc="upper center", ncols=2, fontsize=9)
    return ax


def numbers(result: xr.Dataset) -> dict[str, float | int | str]:
    """What the page quotes; medians over simulations, and means of the parts."""
    lost = result.lost.sum("part").median("seed")
    best, attrs = int(lost.idxmin()), result.attrs
    sizes = {"one": int(result.members_per_task[0]), "best": best, "last": int(result.members_per_task[-1])}
    found: dict[str, float | int | str] = {
        "members": int(attrs["members"]),
        "gpus": int(attrs["gpus"]),
        "source": str(attrs["source"]),
        "gpu": str(attrs["gpu"]),
        "member_seconds": float(attrs["member_seconds"]),
        "dispatch_ms": 1e3 * float(attrs["dispatch_seconds"]),
        "keep_ms": 1e3 * float(attrs["keep_seconds"]),
        "file_kb": float(attrs["file_bytes"]) / 1e3,
        "member_bytes": float(attrs["member_bytes"]),
        "loss_hours": float(attrs["workers_lost_hours"]),
        "simulations": result.sizes["seed"],
    }
    for name, size in sizes.items():
        at = result.sel(members_per_task=size)
        found |= {
            f"{name}_size": size,
            f"{name}_tasks": int(at.tasks),
            f"{name}_lost": float(at.lost.sum("part").median()),
            f"{name}_hours": float(at.hours.median()),
            f"{name}_load": float(at.scheduler_load.median()),
            f"{name}_gb": float(at.store_bytes) / 1e9,
            f"{name}_collect_hours": float(at.collect_hours),
        } | {f"{name}_{part}": float(at.lost.sel(part=part).mean()) for part in PARTS}
    rule = (2 * attrs["keep_seconds"] * attrs["members"] / (attrs["gpus"] * attrs["member_seconds"])) ** 0.5
    found |= {"rule_size": float(rule), "rule_lost": float(rule * attrs["gpus"] / attrs["members"])}
    found["best_minutes"] = float(found["best_hours"]) * 60
    found["best_collect_minutes"] = float(found["best_collect_hours"]) * 60
    found["best_task_seconds"] = best * float(attrs["member_seconds"])
    return found


def describe(result: xr.Dataset) -> str:
    """The figure in words."""
    n = numbers(result)
    return (
        f"Share of GPU time that goes into no member, against the number of members a task, both on log scales. With "
        f"{n['one_size']} member a task {n['one_lost']:.0%} is lost, most of it to writing tasks and to the scheduler. The curve "
        f"falls to {n['best_lost']:.1%} at {n['best_size']} members and rises again to {n['last_lost']:.0%} at "
        f"{n['last_size']}, where GPUs stand idle at the end."
    )


def _best(result: xr.Dataset) -> xr.DataArray:
    lost: xr.DataArray = result.lost.sum("part").min("members_per_task")
    return lost


def _best_load(result: xr.Dataset) -> xr.DataArray:
    size = result.lost.sum("part").median("seed").idxmin("members_per_task")
    load: xr.DataArray = result.scheduler_load.sel(members_per_task=size)
    return load


def _whole(result: xr.Dataset) -> Evidence:
    """The manipulation check: the sweep still computes every member, and its GPUs are busy for as long as members need."""
    seconds = result.hours * 3600 * (1 - result.lost.sum("part")) * result.attrs["gpus"]
    need = result.attrs["members"] * result.attrs["member_seconds"]
    return across_seeds(abs(seconds.min("members_per_task") / need - 1), below=0.1)


_ALONE = Control(
    says="one member a task",
    change=lambda result: result.isel(members_per_task=[0]),
    manipulation=_whole,
)

CLAIMS = (
    Claim(
        id="sweep_plan.busy",
        says="At the best size of a task more than 95 % of the GPUs' time goes into members.",
        rows=("this book",),
        source="this book",
        check=lambda result: across_seeds(_best(result), below=1 - BUSY),
        control=_ALONE,
    ),
    Claim(
        id="sweep_plan.scheduler",
        says="At that size the scheduler is busy for less than a twentieth of the time.",
        rows=("this book",),
        source="this book",
        check=lambda result: across_seeds(_best_load(result), below=0.05),
        control=_ALONE,
    ),
)
