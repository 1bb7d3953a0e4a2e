"""``heldout cost``: what an experiment computes and moves, and the least time that takes on this machine."""

import click

from heldout import experiment, kept_estimates, work
from heldout.cli_parts import PRESET, one_line


@click.command()
@click.argument("name")
@PRESET
@click.option(
    "--limit", default=60.0, show_default=True, help="Processor seconds that the runs for an estimate may take, about."
)
@click.option("--record", is_flag=True, help="Keep a PAPER estimate among the committed ones.")
def cost(name: str, preset: str, limit: float, record: bool) -> None:
    """Count what the experiment NAME computes and moves: at SMOKE and BOOK by running it, at PAPER by an estimate."""
    with one_line():
        module = experiment.find(name)
        config = experiment.preset(module, preset)
        experiment.require(not record or preset.lower() == "paper", "record", preset, "used with --preset paper")
        if preset.lower() == "paper":
            found = kept_estimates.entry(module, limit=limit)
            click.echo(f"{name}, paper: {kept_estimates.said(found)}")
            done = kept_estimates.work_of(found)
        else:
            done = work.count(lambda: module.run(config, device="cpu"))
            click.echo(f"{name}, {preset.lower()}: {kept_estimates.in_words(done)}")
            click.echo(f"{done.seconds:.1f} s without the counter, {done.seen:.0%} of it within PyTorch's operations")
        if record:
            kept_estimates.keep(name, found)
    if done is not None:
        rates = work.rates()
        bounds = rates.bounds(done)
        click.echo(
            f"here, at {rates.flops / 1e9:.0f} Gflop/s and {rates.memory / 1e9:.0f} GB/s: at least {max(bounds.values()):.3g} s "
            f"(products {bounds['products']:.3g} s, memory {bounds['memory']:.3g} s)"
        )
