"""The Typer app, and the one place where errors become exit codes."""

import contextlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from charrnn import __version__, console
from charrnn.commands import benchmark, checkpoints, corpus
from charrnn.commands.evaluate import evaluate
from charrnn.commands.options import Command
from charrnn.commands.sample import sample
from charrnn.commands.train import train
from charrnn.errors import CharrnnError
from charrnn.files import failure

app = typer.Typer(
    name="charrnn",
    add_completion=False,
    # Rich's help pages double the time in which help is there.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_enable=False,
)
app.command(cls=Command)(train)
app.command(cls=Command)(sample)
app.command(cls=Command)(evaluate)
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(corpus.app, name="corpus")
app.add_typer(benchmark.app, name="benchmark")


@app.callback(invoke_without_command=True)
def charrnn(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Train character-level language models on text, and put them to work.

    \b
    Examples:
      charrnn train hamlet.txt            # about ten minutes
      charrnn sample --temperature 0.8    # from the run written last
      charrnn evaluate                    # how good it is, on text it never saw
    """
    if version:
        console.say(f"charrnn {__version__}")
    elif context.invoked_subcommand is None:
        console.say(context.get_help())


def main() -> None:
    """Run the command line and exit with its code."""
    console.use_utf8()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    code = _run(arguments, debug)
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        # The interpreter flushes again as it ends; there must be nothing to complain of.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        console.show_error(failure("stdout", error))
        code = code or failure("stdout", error).exit_code
    sys.exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = app(args=arguments, prog_name="charrnn", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except console.PipeClosed:
        return 0
    except CharrnnError as error:
        if isinstance(error.__cause__, BrokenPipeError):  # --output to a pipe that was closed
            return 0
        if debug:
            raise
        error.hint = error.hint or _help_page(arguments)
        console.show_error(error)
        return error.exit_code
    except TyperException as error:
        if debug:
            raise
        console.show_error(CharrnnError(error.format_message(), _help_page(arguments)))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except SystemExit as ending:  # Typer's own way out where a pipe closes on its help
        return 0 if isinstance(ending.__context__, BrokenPipeError) else 1
    except OSError as error:
        if debug:
            raise
        console.show_error(failure(error.filename or "stdout", error))
        return failure("", error).exit_code
    except MemoryError:
        return _run_out_of_memory()
    except Exception as error:
        if debug:
            raise
        if "allocate memory" in str(error) or "out of memory" in str(error):  # torch's way
            return _run_out_of_memory()
        what = f"{type(error).__name__}: {error}"
        console.show_error(
            CharrnnError(f"unexpected {what}", "a bug: --debug shows where; please report it")
        )
        return 1


def _run_out_of_memory() -> int:
    console.show_error(CharrnnError("out of memory", "try a smaller model, batch or text"))
    return 1


def _help_page(arguments: list[str]) -> str:
    """The command that shows the help of what a command line asked for."""
    words = ["charrnn"]
    tree: Any = typer.main.get_command(app)
    for argument in arguments:
        tree = getattr(tree, "commands", {}).get(argument)
        if tree is None:
            break
        words.append(argument)
    return " ".join([*words, "--help"])
