"Dependencies of stages, computed from the code, and lists in `dvc.yaml` and the table of contents, computed from what is there."

from .generated_lists import list_difference_text, list_differences, write_lists
from .import_closure import Used, closure, code_paths
from .modules import Module, Reference, find_imports, find_modules, named_modules, read_module, string_literals, used_names
from .packages import Package, imported, references
from .side_effects import find_side_effects
from .stages import (
    EVERY_STAGE,
    EXCLUDED,
    REFERENCE_COMMAND,
    REFERENCE_STAGES,
    Difference,
    difference_text,
    differences,
    list_notebooks,
    page_inputs,
    rewrite_dependencies,
    stage_dependencies,
    stage_notebooks,
    write_dependencies,
)

__all__ = [
    "EVERY_STAGE",
    "EXCLUDED",
    "REFERENCE_COMMAND",
    "REFERENCE_STAGES",
    "Difference",
    "Module",
    "Package",
    "Reference",
    "Used",
    "closure",
    "code_paths",
    "difference_text",
    "differences",
    "find_imports",
    "find_modules",
    "find_side_effects",
    "imported",
    "list_difference_text",
    "list_differences",
    "list_notebooks",
    "named_modules",
    "page_inputs",
    "read_module",
    "references",
    "rewrite_dependencies",
    "stage_dependencies",
    "stage_notebooks",
    "string_literals",
    "used_names",
    "write_dependencies",
    "write_lists",
]
