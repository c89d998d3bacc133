"""The built UI, and a page that says how to build it where it is missing."""

from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from cloud.identity.access import PUBLIC

_UNBUILT = """<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>千里 Qianli</title>
<h1>千里 Qianli</h1>
<p>服务正在运行,但界面还没有构建。请运行 <code>qianli web build</code>,然后刷新本页。</p>
<p lang="en">The service is running, but its pages are not built yet.
Run <code>qianli web build</code> and reload this page.</p>
</html>
"""
_LONGEST_PATH_BYTES = 200  # a longer name is no file of ours, and an error of the file system
_FOR_EVER = "public, max-age=31536000, immutable"


def build_routes(static: Path) -> APIRouter:
    """Files of the built UI; any other address is a view of the one page."""
    router = APIRouter(include_in_schema=False)

    def read_page(path: str) -> Response:
        if path == "api" or path.startswith("api/"):
            return JSONResponse({"error": "no such route"}, status_code=404)
        if "\0" in path or len(path.encode()) > _LONGEST_PATH_BYTES:
            return JSONResponse({"error": "no such file"}, status_code=404)
        index = static / "index.html"
        if not index.is_file():
            return HTMLResponse(_UNBUILT, headers={"Cache-Control": "no-store"})
        wanted = (static / path).resolve()
        if wanted.is_file() and wanted.is_relative_to(static.resolve()):
            lasting = _FOR_EVER if path.startswith("assets/") else "no-cache"
            return FileResponse(wanted, headers={"Cache-Control": lasting})
        if "." in path.rsplit("/", 1)[-1]:
            return JSONResponse({"error": "no such file"}, status_code=404)
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    router.add_api_route("/{path:path}", read_page, methods=["GET", "HEAD"], dependencies=[Depends(PUBLIC)])
    return router
