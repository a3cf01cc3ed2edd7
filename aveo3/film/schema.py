"""The JSON Schema of story files, for editors: every field with what it means."""

from __future__ import annotations

from typing import Any

from aveo3.film.story import Story


def story_schema() -> dict[str, Any]:
    """The schema of what `Story.load` reads, short forms included."""
    schema = Story.model_json_schema(by_alias=True, mode="validation")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "aveo3 story"}
    parts = schema["$defs"]
    schema["properties"]["$schema"] = {"type": "string", "description": "Where this schema is, for editors."}
    for name, short in _SHORT_FORMS.items():
        parts[name] = {"description": parts[name].pop("description", ""), "anyOf": [short, parts[name]]}
    schema["properties"]["fallback"] = {
        "description": schema["properties"]["fallback"]["description"],
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    return schema


_SHORT_FORMS: dict[str, dict[str, Any]] = {
    "Beginning": {"type": "string", "description": "The id of a scene: its last frame."},
    "Transition": {"const": "cut"},
    "Card": {"type": "string", "description": "What it says, for three seconds."},
    "Music": {"type": "string", "description": "The file."},
}
"""Parts that may be written as one word or text."""
