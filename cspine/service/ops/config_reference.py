"""The configuration reference of docs/reference/configuration.md, generated from the schema."""

from __future__ import annotations

from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cspine.service.config import ServiceConfig


def config_tables() -> str:
    """Return one Markdown table per section and one row per field, in the order of the schema."""
    sections: list[type[BaseModel]] = [ServiceConfig]
    for section in sections:  # grows during the loop
        for field in section.model_fields.values():
            sections += [inner for inner in _sections_in(field.annotation) if inner not in sections]
    return "\n\n".join(_table(section) for section in sections)


def _table(section: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {field.description} |"
        for name, field in section.model_fields.items()
    ]
    head = [
        f"### {section.__name__}",
        "",
        str(section.__doc__),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections_in(argument)]


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} to {_type(arguments[1])}"
    if issubclass(annotation, StrEnum):
        return " or ".join(annotation)
    names = {"Path": "path", "str": "text", "int": "number", "float": "number", "bool": "true or false"}
    name = str(annotation.__name__)
    return names.get(name, name)


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "*required*"
    if default is None:
        return "-"
    if isinstance(default, BaseModel):
        return "defaults"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple | dict):
        return f"`{', '.join(map(str, default))}`" if default else "none"
    return f"`{default:_}`" if isinstance(default, int) and default > 99_999 else f"`{default}`"
