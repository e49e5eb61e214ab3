"""The options of charrnn train: each one's flag, what it means, and its section of the help."""

from pathlib import Path
from typing import Annotated

import typer

from charrnn.commands.options import option

_MODEL, _TRAINING, _BUDGET, _TEXT = "Model", "Training", "How long (one of)", "Text"
_HELD_OUT, _MACHINE, _RUN = "Held-out text", "Machine", "The run"

Corpus = Annotated[
    list[Path] | None,
    typer.Argument(help="Files, also compressed ones; folders; patterns; - is stdin."),
]
Model = Annotated[
    str | None,
    option(
        "--model",
        "gru or gru-qrnn (the plan's), lstm, rnn, gru-reset-before, product, qrnn.",
        _MODEL,
    ),
]
HiddenSize = Annotated[int | None, option("--hidden-size", "Hidden units of a layer.", _MODEL)]
Layers = Annotated[int | None, option("--layers", "Recurrent layers (default 1 or 2).", _MODEL)]
EmbeddingSize = Annotated[
    int | None, option("--embedding-size", "Numbers a character is read as (default 64).", _MODEL)
]
Nonlinearity = Annotated[
    str | None, option("--nonlinearity", "Of the rnn: tanh (default), relu or sigmoid.", _MODEL)
]

Minutes = Annotated[
    float | None, option("--minutes", "Wall clock (default 10, or 100 epochs).", _BUDGET)
]
Epochs = Annotated[float | None, option("--epochs", "Times the text is read.", _BUDGET)]
Steps = Annotated[int | None, option("--steps", "Batches; may be raised on --resume.", _BUDGET)]

SeqLength = Annotated[
    int | None, option("--seq-length", "Characters a gradient reaches back.", _TRAINING)
]
BatchSize = Annotated[
    int | None, option("--batch-size", "Streams of text read side by side.", _TRAINING)
]
Carry = Annotated[
    bool | None,
    option(
        "--carry/--no-carry",
        "Begin a window in the state of the last (default).",
        _TRAINING,
    ),
]
Plan = Annotated[
    str | None, option("--plan", "auto (default), or off: the same for all texts.", _TRAINING)
]
Optimizer = Annotated[
    str | None,
    option("--optimizer", "soap (the plan's), adamw; sgd, without momentum.", _TRAINING),
]
LearningRate = Annotated[
    float | None,
    option("--learning-rate", "The schedule's highest (default: by optimizer, model).", _TRAINING),
]
WeightDecay = Annotated[
    float | None,
    option("--weight-decay", "Decay of the matrices (default 0.1 to 0.5).", _TRAINING),
]
Clip = Annotated[
    float | None, option("--clip", "Largest gradient norm (default 1); 0: any.", _TRAINING)
]
Dropout = Annotated[
    float | None, option("--dropout", "Share of outputs dropped (default: 0 to 0.6).", _TRAINING)
]
WeightDrop = Annotated[
    float | None,
    option("--weight-drop", "Share of recurrent weights dropped (0 to 0.3).", _TRAINING),
]
WeightInit = Annotated[
    str | None, option("--weight-init", "orthogonal (default), xavier, he or normal.", _TRAINING)
]
ForgetBias = Annotated[
    float | None, option("--forget-bias", "Of the lstm, at first (default 1).", _TRAINING)
]
Seed = Annotated[
    int | None, option("--seed", "All that is random follows from it (default 0).", _TRAINING)
]

ValFrac = Annotated[
    float | None, option("--val-frac", "Share off the end (default 0.1).", _HELD_OUT)
]
ValFile = Annotated[Path | None, option("--val-file", "A file held out instead.", _HELD_OUT)]
TestFrac = Annotated[
    float | None, option("--test-frac", "Share kept for a last test (default 0).", _HELD_OUT)
]
TestFile = Annotated[Path | None, option("--test-file", "A file kept for it instead.", _HELD_OUT)]

Encoding = Annotated[
    str | None, option("--encoding", "utf-8 (default), another of Python's, or bytes.", _TEXT)
]
Newlines = Annotated[
    str | None, option("--newlines", "keep (default), or lf: CR LF and CR become LF.", _TEXT)
]
Normalize = Annotated[
    str | None, option("--normalize", "To Unicode's normal form nfc or nfkc.", _TEXT)
]
Lowercase = Annotated[bool | None, option("--lowercase", "Every letter small.", _TEXT)]
DocumentSeparator = Annotated[
    str | None,
    option("--document-separator", r"Stands between files; \n, \t, \0 are understood.", _TEXT),
]
MinCount = Annotated[
    int | None, option("--min-count", "Rarer characters become one unknown.", _TEXT)
]
Rehash = Annotated[bool, option("--rehash", "Read the text even where the cache knows it.", _TEXT)]
InitFrom = Annotated[
    str | None, option("--init-from", "Begin with this checkpoint's model.", _MODEL)
]

Precision = Annotated[
    str | None, option("--precision", "Of products: auto (default), fp32 or bf16.", _MACHINE)
]
Device = Annotated[str | None, option("--device", "auto (default), cpu, cuda or mps.", _MACHINE)]
Threads = Annotated[int | None, option("--threads", "Default: the processors there are.", _MACHINE)]

Name = Annotated[str | None, option("--name", "Default: the corpus and the model.", _RUN)]
CheckpointSteps = Annotated[
    int | None, option("--checkpoint-steps", "Steps between two checkpoints.", _RUN)
]
EvaluationSteps = Annotated[
    int | None, option("--evaluation-steps", "Steps between two that are scored.", _RUN)
]
Keep = Annotated[
    int | None, option("--keep", "Checkpoints kept besides best and newest (default 1).", _RUN)
]
OnDivergence = Annotated[
    str | None,
    option("--on-divergence", "retry (default, at a lower rate), stop or continue.", _TRAINING),
]
Deadline = Annotated[
    float | None, option("--deadline", "Save and stop after so many minutes.", _RUN)
]
Resume = Annotated[bool, option("--resume", "Start the run, go on with it, or report it.", _RUN)]
Overwrite = Annotated[bool, option("--overwrite", "Move a run of this name aside.", _RUN)]
DryRun = Annotated[
    bool, option("--dry-run", "Print the choice as one whole command and stop.", _RUN)
]
