"""The study as commands: datasets, training, evaluation, comparison; and audits of what has no reference."""
