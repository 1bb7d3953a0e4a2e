"""Keep pages free of scripts that ask other hosts or fail, and of a role that accessibility checkers reject.

Jupyter Book 1.x loads sphinx-thebe on every page although its button is off, and Sphinx 7 registers inline
scripts twice, which makes ``const THEBE_JS_URL`` a redeclaration error. Sphinx gives bibliography entries the role
doc-biblioentry, which its standard (DPUB-ARIA 1.1) has withdrawn.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def clean_page(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Drop thebe's scripts and styles, every inline script that the page already has, and the withdrawn role."""
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')
    kept: list[Any] = []
    seen: set[str] = set()
    for script in context.get("script_files", []):
        filename = str(getattr(script, "filename", script) or "")
        body = str(getattr(script, "attributes", {}).get("body") or "")
        if "thebe" in f"{filename} {body}".lower():
            continue
        if not filename:
            if body in seen:
                continue
            seen.add(body)
        kept.append(script)
    context["script_files"] = kept
    context["css_files"] = [
        sheet for sheet in context.get("css_files", []) if "thebe" not in str(getattr(sheet, "filename", sheet))
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", clean_page, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
