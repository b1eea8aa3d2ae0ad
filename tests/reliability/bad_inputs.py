"""Writers of bad and odd inputs, and the one way in which the tables try them."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from detkit.cli.main import main

SIZE = (40, 60)
RAMP = np.stack([*np.indices(SIZE), np.full(SIZE, 99)], 2).astype(np.uint8)
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def encoded(suffix, pixels=RAMP, *options):
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


def pil(mode, form, **options):
    data = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(data, form, **options)
    return data.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth=8, colour=2, data=b""):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_HEAD + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def rotated(orientation):
    jpeg = encoded(".jpg")
    body = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def thing(box, name="cat", extra=""):
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
    return f"<object><name>{name}</name>{extra}<bndbox>{edges}</bndbox></object>"


def xml(*things, size="<size><width>60</width><height>40</height></size>", head=""):
    return f"{head}<annotation>{size}{''.join(things)}</annotation>"


def tree(folder):
    """Every file below a folder but the cache, with its content where it is a plain file."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "cache" not in path.relative_to(folder).parts
    }


def tried(capsys, folder, *words):
    """Exit code and output of a command, which leaves every file as it was and prints no traceback."""
    before = tree(folder)
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert tree(folder) == before
    assert "Traceback" not in out + err
    assert err.count("\n") <= 1
    return code, out + err
