import struct
import zlib

import cv2
import numpy as np
import pytest

from detkit.data.images import image_size, read_image
from detkit.errors import DataError


@pytest.fixture
def pixels():
    """(40, 60, 3) RGB, smooth enough for JPEG to keep, with red rising to the right and blue downwards."""
    y, x = np.mgrid[:40, :60]
    return np.stack([40 + 3 * x, np.full((40, 60), 90), 30 + 4 * y], 2).astype(np.uint8)


def encode(path, image, *options):
    _, data = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image, list(options))
    path.write_bytes(data.tobytes())
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def png_of_size(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_lossless_pixels_come_back_as_rgb(tmp_path, pixels, suffix):
    np.testing.assert_array_equal(read_image(encode(tmp_path / f"a{suffix}", pixels)), pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".webp", ".tiff"])
def test_size_from_the_header_is_that_of_the_pixels(tmp_path, pixels, suffix):
    path = encode(tmp_path / f"a{suffix}", pixels)
    assert image_size(path) == (40, 60)
    assert read_image(path).shape == (40, 60, 3)


def test_size_of_a_lossless_webp(tmp_path, pixels):
    assert image_size(encode(tmp_path / "a.webp", pixels, cv2.IMWRITE_WEBP_QUALITY, 101)) == (40, 60)


def test_a_progressive_jpeg_is_read(tmp_path, pixels):
    path = encode(tmp_path / "a.jpg", pixels, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert np.abs(read_image(path).astype(int) - pixels).mean() < 3


def test_grey_is_replicated(tmp_path, pixels):
    image = read_image(encode(tmp_path / "a.png", pixels[..., 0]))
    np.testing.assert_array_equal(image, np.repeat(pixels[..., :1], 3, 2))


def test_alpha_is_dropped(tmp_path, pixels):
    bgra = np.dstack([pixels[..., ::-1], np.zeros((40, 60), np.uint8)])
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", bgra)[1].tobytes())
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, pixels, suffix):
    image = read_image(encode(tmp_path / f"a{suffix}", pixels.astype(np.uint16) * 257))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)


def test_a_palette_is_resolved(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    indexed = pil.new("P", (3, 2))
    indexed.putpalette([10, 20, 30, 200, 100, 50])
    indexed.putpixel((2, 1), 1)
    indexed.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [10, 20, 30] and image[1, 2].tolist() == [200, 100, 50]


def test_cmyk_is_converted(tmp_path, pixels):
    pil = pytest.importorskip("PIL.Image")
    pil.fromarray(pixels).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - pixels).mean() < 8


def test_exif_orientation_is_not_applied(tmp_path, pixels):
    path = encode(tmp_path / "a.jpg", pixels)
    plain = read_image(path)
    path.write_bytes(with_orientation(path.read_bytes(), 6))
    np.testing.assert_array_equal(read_image(path), plain)
    assert image_size(path) == (40, 60)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_orientation_of_a_tiff_is_not_applied(tmp_path, pixels, orientation, order):
    # Behind the header of 8 bytes seven tags (2 + 7 * 12 + 4 bytes), then the three sizes of a number, then the pixels.
    sizes = 8 + 2 + 7 * 12 + 4
    tags = [(256, 4, 1, 60), (257, 4, 1, 40), (258, 3, 3, sizes), (262, 3, 1, 2), (273, 4, 1, sizes + 6)]
    tags += [(274, 3, 1, orientation), (277, 3, 1, 3)]
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 7)
    for tag, kind, count, value in tags:
        form = "HH" if (kind, count) == (3, 1) else "I"
        data += struct.pack(f"{order}HHI{form}", tag, kind, count, *[value, 0][: len(form)])
    (tmp_path / "a.tif").write_bytes(data + struct.pack(f"{order}IHHH", 0, 8, 8, 8) + pixels.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)
    assert image_size(tmp_path / "a.tif") == (40, 60)


def test_the_end_marker_of_a_thumbnail_does_not_make_a_file_whole(tmp_path, pixels):
    path = encode(tmp_path / "a.jpg", pixels)
    data = path.read_bytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    path.write_bytes((data[:2] + thumbnail + data[2:])[:-40])
    with pytest.raises(DataError, match=r"a\.jpg: cannot read the image: the file is truncated"):
        image_size(path)


def test_a_name_beyond_ascii_is_read(tmp_path, pixels):
    np.testing.assert_array_equal(read_image(encode(tmp_path / "Kühe 牛.png", pixels)), pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif", ".webp", ".tif"])
def test_a_truncated_image_is_refused_by_name(tmp_path, pixels, suffix):
    path = encode(tmp_path / f"half{suffix}", pixels)
    data = path.read_bytes()
    for length in (1, 8, 20, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=rf"half\{suffix}: "):
            read_image(path)


def test_flipped_bits_are_refused_by_name(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    path = encode(tmp_path / "bad.png", noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"bad\.png: the image is broken: its 60x40 pixels cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "no JPEG, PNG, BMP, GIF, WebP or TIFF image"),
        (b"II*\0\x08\0\0\0" + bytes(40), "the TIFF file does not say its size"),
        (b"\xff\xd8\xff\xe0\0\x04ab12345", "the JPEG structure is broken at byte 8"),
        (png_of_size(0, 5), "its header gives a size of 0x5 pixels"),
    ],
)
def test_bytes_that_are_no_image_are_refused(tmp_path, data, message):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"x.jpg: cannot read the image: {message}"):
        read_image(path)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_size(50_000, 50_000))
    with pytest.raises(DataError, match=r"bomb\.png: 50000x50000 pixels, at most 200 million are read"):
        read_image(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.jpg: cannot read the image: No such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match="cannot read the image: Is a directory"):
        read_image(str(tmp_path))


def test_photographs_are_read_as_another_decoder_reads_them(shared):
    pil = pytest.importorskip("PIL.Image")
    for path in sorted((shared / "data/voc2007_test_demo/VOC2007/JPEGImages").glob("*.jpg"))[:4]:
        other = np.asarray(pil.open(path).convert("RGB")).astype(int)
        assert np.abs(read_image(path) - other).mean() < 1
        assert image_size(path) == other.shape[:2]
