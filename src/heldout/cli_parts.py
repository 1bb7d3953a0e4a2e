"""What the commands of the command line share: options, and a user's mistake in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm.auto import tqdm

from heldout import experiment, store

DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
PRESET = click.option("--preset", default="book", show_default=True, help="smoke, book or paper.")
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of the config; may be repeated."
)


class Mistake(click.ClickException):
    """A user's mistake: one line on standard error, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the one line."""
        click.echo(f"heldout: {self.message}", err=True, file=file)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a ``ValueError`` or missing data into one line instead of a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise Mistake(" ".join(str(error).split())) from None


def bar(name: str) -> experiment.Progress:
    """A progress callback that draws a bar once two seconds have passed."""
    line = tqdm(desc=name, delay=store.PROGRESS_AFTER)

    def advance(done: int, total: int) -> None:
        line.total = total
        line.update(done - line.n)

    return advance


def configured(module: experiment.Experiment, preset: str, settings: tuple[str, ...], seeds: int | None) -> Any:
    """The preset with the fields that ``--set`` and ``--seeds`` change.

    Raises:
        ValueError: the preset, a field or a value is not one.
    """
    pairs: dict[str, str] = {} if seeds is None else {"num_seeds": str(seeds)}
    twice = any(setting.startswith("num_seeds=") for setting in settings)
    experiment.require(seeds is None or not twice, "seeds", seeds, "given once: by --seeds or by --set num_seeds")
    for setting in settings:
        key, equals, value = setting.partition("=")
        experiment.require(bool(equals), "set", setting, "key=value")
        pairs[key] = value
    return experiment.change(experiment.preset(module, preset), pairs)


def writable(path: Path | None, suffix: str) -> None:
    """Refuse a file that could not be written at the end of a long run.

    Raises:
        ValueError: the name or the folder is wrong.
    """
    if path is not None:
        experiment.require(path.suffix == suffix, "file", str(path), f"a name that ends in {suffix}")
        experiment.require(path.absolute().parent.is_dir(), "file", str(path), "in a folder that exists")
