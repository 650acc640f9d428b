"""Read .fbs files as a list of facts, and say what a newer list broke. Only the subset that our files use.

``flatc --conform`` lets renamed and dropped fields, changed ``required`` and changed identifiers through;
this comparison does not.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_COMMENT = re.compile(r"//[^\n]*")
_BLOCK = re.compile(r"\b(table|struct|enum)\s+(\w+)(?:\s*:\s*(\w+))?\s*\{([^}]*)\}")
_FIELD = re.compile(r"(\w+)\s*:\s*(\[?\w+\]?)\s*(?:=\s*([\w.+-]+))?\s*(?:\(([^)]*)\))?\s*;")
_MEMBER = re.compile(r"(\w+)\s*=\s*(\d+)")
_ROOT = re.compile(r"root_type\s+(\w+)\s*;")
_IDENTIFIER = re.compile(r'file_identifier\s+"(....)"\s*;')


@dataclass(frozen=True)
class FieldFact:
    """One field of a table or struct."""

    name: str
    id: int
    type: str
    default: str
    required: bool


@dataclass
class FieldList:
    """All that one folder of schemas promises."""

    tables: dict[str, list[FieldFact]] = field(default_factory=dict)
    structs: dict[str, list[FieldFact]] = field(default_factory=dict)
    enums: dict[str, dict[str, str]] = field(default_factory=dict)
    roots: dict[str, tuple[str, str]] = field(default_factory=dict)  # file -> (root table, identifier)


def _facts(body: str) -> list[FieldFact]:
    facts = []
    for place, (name, kind, default, attributes) in enumerate(_FIELD.findall(body)):
        said = re.search(r"id\s*:\s*(\d+)", attributes)
        number = int(said[1]) if said else place
        facts.append(FieldFact(name, number, kind, default, "required" in attributes))
    return sorted(facts, key=lambda fact: fact.id)


def read_field_list(folder: Path) -> FieldList:
    """Facts of every .fbs file of a folder."""
    facts = FieldList()
    for path in sorted(folder.glob("*.fbs")):
        text = _COMMENT.sub("", path.read_text())
        for kind, name, base, body in _BLOCK.findall(text):
            if kind == "enum":
                facts.enums[name] = {"": base, **dict(_MEMBER.findall(body))}
            else:
                (facts.tables if kind == "table" else facts.structs)[name] = _facts(body)
        root, identifier = _ROOT.search(text), _IDENTIFIER.search(text)
        if root or identifier:
            facts.roots[path.name] = (root[1] if root else "", identifier[1] if identifier else "")
    return facts


def breaks(old: FieldList, new: FieldList) -> list[str]:
    """What a reader of the old list would get wrong or miss in messages of the new one."""
    found = []
    for name, fields in old.tables.items():
        now = new.tables.get(name, [])
        found += [
            f"table {name}: {fact} is now {now[at : at + 1]}"
            for at, fact in enumerate(fields)
            if fact not in now
        ]
        # a required field that old writers do not know would make all their messages malformed
        found += [
            f"table {name}: new field {fact.name} is required" for fact in now[len(fields) :] if fact.required
        ]
    for name, fields in old.structs.items():
        if new.structs.get(name) != fields:  # structs have no room to grow
            found.append(f"struct {name} is now {new.structs.get(name)}")
    for name, members in old.enums.items():
        now_members = new.enums.get(name, {})
        found += [
            f"enum {name}: {member} = {value} is now {now_members.get(member)}"
            for member, value in members.items()
            if now_members.get(member) != value
        ]
    for name, root in old.roots.items():
        if new.roots.get(name) != root:
            found.append(f"{name}: root and identifier {root} are now {new.roots.get(name)}")
    return found
