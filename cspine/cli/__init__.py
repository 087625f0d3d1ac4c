"""The `cspine` command: one module per subcommand; each parses, calls and prints."""
