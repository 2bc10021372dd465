"""Small record files of the kinds that hospitals export, written by us, and how a test reads one."""

from tcmstruct.emr import open_source

NS = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def element(code: str, name: str, value: str, inner: str = "") -> str:
    return (f'<entry><observation classCode="OBS" moodCode="EVN"><code code="{code}" codeSystem="2.16.156.10011.2.2.1" '
            f'displayName="{name}">{inner}</code><value xsi:type="ST">{value}</value></observation></entry>')


def section(body: str, code: str = "10154-3", shown: str = "CHIEF COMPLAINT", text: str = "") -> str:
    return f'<component><section><code code="{code}" displayName="{shown}"/><text>{text}</text>{body}</section></component>'


HEADER = '''<id root="2.16.156.10011.1.1" extension="DOC1"/><title>门(急)诊病历</title>
<recordTarget><patientRole><id root="2.16.156.10011.1.11" extension="MZ0007"/><id root="2.16.156.10011.1.24" extension="NA"/>
<patient><id root="2.16.156.10011.1.3" extension="xx"/><name>甲某</name><administrativeGenderCode code="2" displayName="女性"/>
<birthTime value="19800102"/><age unit="岁" value="46"/></patient>
<providerOrganization><name>脾胃病科</name></providerOrganization></patientRole></recordTarget>
<author><time value="20260301"/></author>'''


def cda(*sections: str, header: str = HEADER, body: str = "structuredBody") -> str:
    inner = f"<component><{body}>{''.join(sections)}</{body}></component>" if sections else ""
    return f"<ClinicalDocument {NS}>{header}{inner}</ClinicalDocument>"


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    source = open_source(path)
    return source, list(source)
