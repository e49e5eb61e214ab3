"""charrnn trains recurrent language models on plain text, one character at a time."""

__version__ = "0.1.0"
