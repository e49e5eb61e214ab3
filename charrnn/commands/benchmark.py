"""charrnn benchmark: what this machine can do, measured."""

import typer

from charrnn.commands.benchmark_learning import learning
from charrnn.commands.benchmark_sampling import sampling
from charrnn.commands.benchmark_training import training
from charrnn.commands.options import Command, help_alone

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def benchmark(context: typer.Context) -> None:
    """Measure what this machine can do.

    \b
    Examples:
      charrnn benchmark training --quick
      charrnn benchmark sampling --quick
      charrnn benchmark learning
      charrnn benchmark training --model gru --json
    """
    help_alone(context)


app.command(cls=Command)(training)
app.command(cls=Command)(sampling)
app.command(cls=Command)(learning)
