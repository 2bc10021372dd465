"""De-identification: what names a person leaves the text, what describes an illness stays (docs/privacy.md).

    from tcmstruct.privacy import Deidentifier, read_key
    Deidentifier(read_key()).deidentify("患者李建国，男，56岁，住院号：20230117。舌红苔黄。").text
"""

from tcmstruct.privacy.deidentifier import Deidentifier, deidentify
from tcmstruct.privacy.key import Key, read_key
from tcmstruct.privacy.records import deidentify_line, deidentify_record
from tcmstruct.privacy.result import DATES, KINDS, DeidentifiedText, Replaced

__all__ = ["DATES", "KINDS", "DeidentifiedText", "Deidentifier", "Key", "Replaced", "deidentify", "deidentify_line", "deidentify_record",
           "read_key"]
