"""Files and folders that appear complete, archives, NIfTI, tables, the terminal, processes and the machine."""
