// Decoding of pixels, as written by mmaffinity.visualization.pages.pixels, and of COCO's compressed run lengths.

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text),
    bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Decode a slice of height x width pixels to its stored integers. */
async function decodePixels(text, height, width) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream('deflate'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const number = height * width,
    values = new Int16Array(number);
  if (bytes.length !== 2 * number) throw new Error(`${bytes.length} bytes for ${height} x ${width} pixels`);
  for (let at = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const folded = bytes[at] | (bytes[number + at] << 8);
      const left = x ? values[at - 1] : 0,
        up = y ? values[at - width] : 0,
        plane = left + up - (x && y ? values[at - width - 1] : 0);
      const low = left < up ? left : up,
        high = left < up ? up : left;
      values[at] = ((folded >>> 1) ^ -(folded & 1)) + (plane < low ? low : plane > high ? high : plane);
    }
  }
  return values;
}

/** Decode run lengths to [start, end) ranges of mask pixels in column-major order. */
function decodeRuns(counts) {
  const lengths = [];
  for (let at = 0; at < counts.length;) {
    let value = 0,
      shift = 0,
      code;
    do {
      code = counts.charCodeAt(at++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    if (lengths.length > 2) value += lengths[lengths.length - 2];
    lengths.push(value);
  }
  const runs = [];
  for (let at = 0, place = 0; at < lengths.length; place += lengths[at++]) if (at % 2) runs.push([place, place + lengths[at]]);
  return runs;
}

/** Decode a mask to row-major pixel indices: all of them, and those of its outline. */
function decodeMask(mask) {
  const [height, width] = mask.size,
    inside = [],
    covered = new Uint8Array(height * width);
  for (const [start, end] of decodeRuns(mask.counts)) {
    for (let place = start; place < end; place++) inside.push((place % height) * width + Math.floor(place / height));
  }
  for (const at of inside) covered[at] = 1;
  const outline = inside.filter(at => {
    const x = at % width,
      y = (at - x) / width;
    return (
      x === 0 ||
      y === 0 ||
      x === width - 1 ||
      y === height - 1 ||
      !(covered[at - 1] && covered[at + 1] && covered[at - width] && covered[at + width])
    );
  });
  return {inside: Int32Array.from(inside), outline: Int32Array.from(outline)};
}
