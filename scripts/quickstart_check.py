#!/usr/bin/env python3
"""Compares a heat map with its reference and draws the text boxes found in it. Standard library only.

  quickstart_check.py GOT.npy WANT.npy PICTURE.png BOXES.svg

Fails unless every element agrees within rtol 1e-3, atol 1e-3 (tests/data/onnx/real_ocr_det/meta.json). The boxes are the
bounding boxes of connected regions above 0.3, drawn over the picture.
"""
import ast, base64, math, struct, sys


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x93NUMPY":
        sys.exit(f"{path}: not an .npy file")
    size, start = (struct.unpack("<H", data[8:10])[0], 10) if data[6] == 1 else (struct.unpack("<I", data[8:12])[0], 12)
    header = ast.literal_eval(data[start:start + size].decode("latin1"))
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"{path}: float32 in C order expected, found {header['descr']}")
    count = math.prod(header["shape"])
    return header["shape"], struct.unpack(f"<{count}f", data[start + size:start + size + 4 * count])


def regions(values, height, width, threshold=0.3, least=16):
    """Bounding boxes (left, top, right, bottom) of 4-connected regions above the threshold."""
    seen, boxes = bytearray(height * width), []
    for first in range(height * width):
        if seen[first] or values[first] <= threshold:
            continue
        seen[first] = 1
        stack, pixels = [first], []
        while stack:
            at = stack.pop()
            pixels.append(at)
            y, x = divmod(at, width)
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                other = ny * width + nx
                if 0 <= ny < height and 0 <= nx < width and not seen[other] and values[other] > threshold:
                    seen[other] = 1
                    stack.append(other)
        if len(pixels) >= least:
            xs, ys = [p % width for p in pixels], [p // width for p in pixels]
            boxes.append((min(xs), min(ys), max(xs) + 1, max(ys) + 1))
    return boxes


def main():
    got_path, want_path, picture, svg = sys.argv[1:5]
    (shape, got), (want_shape, want) = read_npy(got_path), read_npy(want_path)
    if shape != want_shape:
        sys.exit(f"shape {shape}, expected {want_shape}")
    worst = max(abs(g - w) / (1e-3 + 1e-3 * abs(w)) if math.isfinite(g) else math.inf for g, w in zip(got, want))
    error = max(abs(g - w) for g, w in zip(got, want))
    print(f"largest difference from onnxruntime: {error:.3g} ({worst:.3g} of the tolerance)")
    if not worst <= 1:
        sys.exit("the result is WRONG")
    height, width = shape[-2:]
    boxes = regions(got, height, width)
    with open(picture, "rb") as file:
        image = base64.b64encode(file.read()).decode()
    with open(svg, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{2 * width}">\n'
                   f'<image href="data:image/png;base64,{image}" width="{width}" height="{height}"/>\n')
        for left, top, right, bottom in boxes:
            file.write(f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" fill="none" stroke="red"/>\n')
        file.write("</svg>\n")
    for box in boxes:
        print("text box: left {} top {} right {} bottom {}".format(*box))
    print(f"{len(boxes)} boxes drawn in {svg}")
    if not boxes:
        sys.exit("no text was found")


if __name__ == "__main__":
    main()
