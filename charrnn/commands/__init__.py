"""One file a subcommand: options to settings, one call, and what it gave on the screen."""
