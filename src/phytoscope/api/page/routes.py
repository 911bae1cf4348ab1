"""Where the web page is found: `/` for the page, `/page/...` for its parts."""

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from phytoscope.api.page.files import INDEX, PageFile, read_page

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What a browser may do with the page: run its own files, ask its own service, show its own pictures, no more."""
# The version stands in the address: what lies there never changes.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


def add_page(app: FastAPI) -> None:
    """Adds the web page to a service; it needs no key, holds no secret, and asks the service for everything.

    Args:
        app: The service. Gets the routes `/`, `/page/VERSION/NAME` and `/favicon.ico`, which its description leaves
            out.
    """
    page = read_page()

    async def show_page(request: Request) -> Response:
        return _answer(request, page.files[INDEX], _ASK_AGAIN)

    async def show_part(request: Request) -> Response:
        found = page.files.get(request.path_params["name"])
        if found is None:
            return Response("There is no such file.\n", 404, PAGE_HEADERS, "text/plain")
        # A page that was opened before an update gets the new file, and keeps it no longer than it is open.
        is_current = request.path_params["version"] == page.version
        return _answer(request, found, _FOR_EVER if is_current else _ASK_AGAIN)

    async def show_icon(_request: Request) -> Response:
        # Relative, so that it is right behind a proxy that serves the page below a path, too.
        return RedirectResponse(f"page/{page.version}/icon.svg", 307, PAGE_HEADERS)

    app.router.add_route("/", show_page, ["GET"], include_in_schema=False)
    app.router.add_route("/page/{version}/{name}", show_part, ["GET"], include_in_schema=False)
    app.router.add_route("/favicon.ico", show_icon, ["GET"], include_in_schema=False)


def _answer(request: Request, file: PageFile, keep: str) -> Response:
    is_packed = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{file.tag}-gzip"' if is_packed else f'"{file.tag}"'
    headers = {**PAGE_HEADERS, "Cache-Control": keep, "ETag": tag, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if is_packed else file.content, 200, headers, file.media_type)
