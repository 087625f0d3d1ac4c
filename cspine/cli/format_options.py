"""The options that name formats of surfaces and of finite elements, shared by every command that writes them."""

from __future__ import annotations

import click

from cspine.surfaces.fe_settings import DEFAULT_FE_FORMATS, FE_PROGRAMS
from cspine.surfaces.settings import DEFAULT_FORMATS, SURFACE_FORMATS

surface_format_option = click.option(
    "--surface-format", "surface_formats", metavar="NAME,...", default=",".join(DEFAULT_FORMATS), show_default=True,
    help=f"Formats of surfaces: {', '.join(SURFACE_FORMATS)}; dicom is Encapsulated STL, for a CT that is DICOM.",
)  # fmt: skip
fe_format_option = click.option(
    "--fe-format", "fe_formats", metavar="NAME,...", default=",".join(DEFAULT_FE_FORMATS), show_default=True,
    help=f"Formats of finite elements: {', '.join(f'{name} ({program})' for name, program in FE_PROGRAMS.items())}.",
)  # fmt: skip
