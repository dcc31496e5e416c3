"""Makes test/fixtures/images and test/goldens/images.json: tiny pictures of every kind, and what PIL and torchvision make of them.

    python scripts/goldens/images.py        (needs Pillow, torchvision, numpy)

Sizes are (height, width). Pixels are uint8 RGB, base64.
"""
import base64
import json
import pathlib

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures" / "images"
OUT = ROOT / "test" / "goldens" / "images.json"

HEIGHT, WIDTH = 24, 32
ORIENTATION = 0x0112


def picture():
    """Colours that run smoothly, with one bright and one dark block: neither side nor channel can be mistaken for another."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([40 + 6 * x, 30 + 8 * y, 200 - 3 * x - y], 2)
    rgb[3:9, 4:12] = [230, 40, 30]
    rgb[14:21, 20:29] = [20, 60, 210]
    return np.clip(rgb, 0, 255).astype(np.uint8)


def save_all():
    rgb = Image.fromarray(picture())
    grey = rgb.convert("L")
    alpha = Image.fromarray(np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    mirrored = Image.Exif()
    mirrored[ORIENTATION] = 5
    jpeg = {"quality": 92}
    pictures = {
        "rgb.jpg": (rgb, jpeg),
        "progressive.jpg": (rgb, {**jpeg, "progressive": True}),
        "grey.jpg": (grey, jpeg),
        "cmyk.jpg": (rgb.convert("CMYK"), jpeg),
        "exif-6.jpg": (rgb, {**jpeg, "exif": turned}),
        "exif-5.jpg": (rgb, {**jpeg, "exif": mirrored}),
        "rgb.png": (rgb, {}),
        "grey.png": (grey, {}),
        "grey-alpha.png": (Image.merge("LA", [grey, alpha]), {}),
        "rgba.png": (rgba, {}),
        "palette.png": (rgb.quantize(16), {}),
        "palette-transparent.png": (rgb.quantize(16), {"transparency": 3}),
        "one-bit.png": (grey.convert("1"), {}),
        "rgb.webp": (rgb, {"quality": 92}),
        "rgba.webp": (rgba, {"lossless": True, "exact": True}),
    }
    for name, (image, options) in pictures.items():
        image.save(FIXTURES / name, **options)
    # 16 bits: the low byte is no copy of the high one, so that a mistaken byte shows.
    wide = np.asarray(grey).astype(np.uint16) * 256 + 17
    Image.fromarray(wide).save(FIXTURES / "grey-16.png")
    return [*pictures, "grey-16.png"]


def load(name):
    image = ImageOps.exif_transpose(Image.open(FIXTURES / name))
    if image.mode.startswith("I;16"):  # PIL's own conversion cuts such values off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def pixels(image):
    return base64.b64encode(np.asarray(image).tobytes()).decode()


FIXTURES.mkdir(parents=True, exist_ok=True)
names = save_all()
goldens = []


def add(name, size, what, image, **more):
    assert image.size == (size[1], size[0]), (name, what, image.size)
    goldens.append({"file": name, "what": what, "height": size[0], "width": size[1], **more, "pixels": pixels(image)})


for name in names:
    image = load(name)
    add(name, (image.height, image.width), "squash", image)
    add(name, (12, 10), "squash", transforms.Resize((12, 10))(image))
for name in ["rgb.png", "rgb.jpg", "rgb.webp", "exif-6.jpg", "rgba.png"]:
    image = load(name)
    add(name, (33, 39), "squash", transforms.Resize((33, 39))(image))
    add(name, (14, 40), "squash", transforms.Resize((14, 40))(image))
    cropped = transforms.Compose([transforms.Resize(16), transforms.CenterCrop(14)])
    add(name, (14, 14), "crop", cropped(image))
    top, left, height, width = 2, 3, 18, 17
    box = {"top": top, "left": left, "height": height, "width": width}
    for size in [(10, 12), (25, 11)]:
        add(name, size, "box", F.resized_crop(image, top, left, height, width, list(size), antialias=True), box=box)
lines = [json.dumps(golden, separators=(",", ":")) for golden in goldens]
OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
