"""The page of the HTTP API, from the service's own OpenAPI description."""

from typing import Any, Final

from writers.tables import quote_code, render_table

_HEAD: Final = """\
# HTTP API

What the service answers, as its own description at `/openapi.json` says it. [Serve](../guides/serving.md) shows how to
start it and how to ask; [Ask from a program](../guides/client.md) the client for Python.

"""
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def write_http_api() -> str:
    """Writes the page."""
    from phytoscope.api.app import build_app
    from phytoscope.schema.serve import ServeConfig

    # Without its web page, whose files are nothing to ask for.
    described = build_app("package", ServeConfig(page=False)).openapi()
    operations = [
        (f"{method.upper()} {path}", item[method])
        for path, item in described["paths"].items()
        for method in _METHODS
        if method in item
    ]
    parts = [_HEAD, described["info"].get("description", ""), "\n\n"]
    parts.append(render_table(["ask", "for"], [[_link(name), entry["summary"]] for name, entry in operations]))
    parts += [_write_operation(name, entry) for name, entry in operations]
    parts.append("\n## Bodies\n")
    schemas = described["components"]["schemas"]
    parts += [_write_schema(name, schemas[name]) for name in sorted(schemas)]
    return "".join(parts)


def _anchor(name: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in name.lower()).strip("-")


def _link(name: str) -> str:
    return f"[`{name}`](#{_anchor(name)})"


def _write_operation(name: str, entry: dict[str, Any]) -> str:
    parts = [f"\n## {name} {{#{_anchor(name)}}}\n\n{entry['summary']}.\n"]
    if entry.get("description"):
        parts.append(f"\n{entry['description']}\n")
    if entry.get("parameters"):
        rows = [
            [quote_code(one["name"]), one["in"], _word_schema(one.get("schema", {})), one.get("description", "")]
            for one in entry["parameters"]
        ]
        parts.append("\n" + render_table(["parameter", "in", "value", "meaning"], rows))
    body = entry.get("requestBody", {}).get("content", {})
    if body:
        rows = [[quote_code(kind), _word_schema(part.get("schema", {}))] for kind, part in body.items()]
        parts.append("\n" + render_table(["type of the body", "holds"], rows))
    rows = [
        [quote_code(str(status)), answer.get("description", ""), ", ".join(_word_content(answer))]
        for status, answer in sorted(entry["responses"].items())
    ]
    parts.append("\n" + render_table(["status", "when", "answer"], rows))
    return "".join(parts)


def _word_content(answer: dict[str, Any]) -> list[str]:
    return [
        _word_schema(part["schema"]) if part.get("schema") else quote_code(kind)
        for kind, part in answer.get("content", {}).items()
    ]


def _write_schema(name: str, schema: dict[str, Any]) -> str:
    head = f"\n### {name}\n\n{' '.join(schema.get('description', '').split())}\n\n"
    if "enum" in schema:
        return head + "One of " + ", ".join(quote_code(str(value)) for value in schema["enum"]) + ".\n"
    required = schema.get("required", [])
    rows = [
        [quote_code(key), _word_schema(part), "yes" if key in required else "", part.get("description", "")]
        for key, part in schema.get("properties", {}).items()
    ]
    return head + (render_table(["field", "value", "always there", "meaning"], rows) if rows else "")


def _word_schema(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_word_schema(part) for part in schema.get("anyOf", schema.get("oneOf")))
    if "enum" in schema or "const" in schema:
        return ", ".join(quote_code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_word_schema(schema.get('items', {}))}"
    if kind == "object" and "properties" in schema:
        return "; ".join(f"{quote_code(key)}: {_word_schema(part)}" for key, part in schema["properties"].items())
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"table of {_word_schema(schema['additionalProperties'])} by name"
    words = [
        {"object": "table", "string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)
    ]
    words += [f"{schema['format']}"] if "format" in schema else []
    words += [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    return ", ".join(words)


_LIMITS: Final = {"minimum": "from", "maximum": "to", "minLength": "length from", "maxLength": "length to"}
