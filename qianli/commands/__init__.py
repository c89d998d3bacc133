"""One file per subcommand: `HELP`, `configure(parser)` and `run(arguments) -> exit code`."""
