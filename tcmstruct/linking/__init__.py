"""Linking: the code of a disease or syndrome name, or none. A wrong code is worse than none."""

from tcmstruct.linking.codes import KINDS, SYSTEMS, Code, read_codes, shipped_codes
from tcmstruct.linking.linker import RULES, Conflict, Link, Linker, Part

__all__ = ["KINDS", "RULES", "SYSTEMS", "Code", "Conflict", "Link", "Linker", "Part", "read_codes", "shipped_codes"]
