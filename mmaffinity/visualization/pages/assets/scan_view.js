// Drawing of the axial, coronal and sagittal views: grey levels, lesions, RoIs.
const COLORS = [
    [255, 184, 40],
    [255, 130, 210],
    [160, 240, 100],
    [205, 180, 255],
  ],
  CHOSEN = [255, 255, 255];
const canvas = $('slice'),
  context = canvas.getContext('2d');
let image = null,
  queued = false;

// Grey levels of the current window: a lookup table over the stored integers for each step.
let tables = new Map();
function grey(step) {
  if (!tables.has(step)) {
    const [level, width] = state.window,
      table = new Uint32Array(65536);
    for (let stored = -32768; stored < 32768; stored++) {
      const tone = Math.round(Math.min(Math.max(((stored * step - level + width / 2) * 255) / width, 0), 255));
      table[stored + 32768] = 0xff000000 | (tone << 16) | (tone << 8) | tone;
    }
    tables.set(step, table);
  }
  return tables.get(step);
}

function blend(pixels, at, color, opacity) {
  const old = pixels[at],
    mix = (tone, wanted) => Math.round(tone + (wanted - tone) * opacity);
  pixels[at] =
    0xff000000 | (mix((old >>> 16) & 255, color[2]) << 16) | (mix((old >>> 8) & 255, color[1]) << 8) | mix(old & 255, color[0]);
}

const threshold = () => Number($('threshold').value);
const shownLesions = record => (state.overlay ? record.lesions.filter(lesion => lesion.score >= threshold()) : []);
/** Return the pixels of a lesion; none if the model predicts only boxes. */
const masks = lesion => (lesion.pixels ??= lesion.mask ? decodeMask(lesion.mask) : {inside: [], outline: []});

function frame(width, height, across, down) {
  if (canvas.width !== width || canvas.height !== height || image === null) {
    canvas.width = width;
    canvas.height = height;
    image = context.createImageData(width, height);
  }
  canvas.style.setProperty('--ratio', (width * across) / (height * down));
  return new Uint32Array(image.data.buffer);
}

function drawAxial() {
  const record = slices[state.at],
    pixels = ready.get(record.index);
  if (!pixels && blocks.has(record.index)) {
    load(record.index).then(draw);
    return false;
  }
  const [down, across] = head.scan.spacing ?? [1, 1];
  const out = frame(record.width, record.height, across, down);
  if (pixels) {
    const table = grey(pixels.step),
      {values} = pixels,
      number = out.length,
      tone = at => table[values[at] + 32768] & 255;
    if (values.length === number) for (let at = 0; at < number; at++) out[at] = table[values[at] + 32768];
    // The red, green and blue channels of a colour image are stacked vertically.
    else
      for (let at = 0; at < number; at++)
        out[at] = 0xff000000 | (tone(at + 2 * number) << 16) | (tone(at + number) << 8) | tone(at);
  } else out.fill(0xff000000);
  const style = $('style').value,
    opacity = Number($('opacity').value);
  for (const lesion of shownLesions(record)) {
    const chosen = lesion === state.chosen,
      color = COLORS[lesion.label % COLORS.length];
    if (style !== 'outline') for (const at of masks(lesion).inside) blend(out, at, color, opacity);
    if (style !== 'fill' || chosen) for (const at of masks(lesion).outline) blend(out, at, chosen ? CHOSEN : color, 1);
  }
  context.putImageData(image, 0, 0);
  drawBoxes(
    shownLesions(record).filter(lesion => !lesion.mask),
    style,
    opacity,
  );
  if (state.rois && record.rois) drawRois(record.rois);
  for (let near = -2; near <= 3; near++) if (slices[state.at + near]) load(slices[state.at + near].index);
  return true;
}

/** Draw the lesions of a model without masks. */
function drawBoxes(lesions, style, opacity) {
  context.save();
  context.lineWidth = Math.max(1, canvas.width / 400);
  for (const lesion of lesions) {
    const [x1, y1, x2, y2] = lesion.box,
      color = `rgb(${(lesion === state.chosen ? CHOSEN : COLORS[lesion.label % COLORS.length]).join()})`;
    context.fillStyle = context.strokeStyle = color;
    if (style !== 'fill' || lesion === state.chosen) context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (style === 'outline') continue;
    context.globalAlpha = opacity;
    context.fillRect(x1, y1, x2 - x1, y2 - y1);
    context.globalAlpha = 1;
  }
  context.restore();
}

// Coronal and sagittal views: a row or column of each slice, head at the top.
function drawAcross() {
  const first = slices[0],
    depth = head.scan.num_slices,
    [down, across] = head.scan.spacing;
  const coronal = state.plane === 'coronal',
    place = state.place[state.plane],
    width = coronal ? first.width : first.height;
  const out = frame(width, depth, coronal ? across : down, head.scan.slice_spacing);
  out.fill(0xff000000);
  const opacity = $('style').value === 'outline' ? 0.6 : Number($('opacity').value);
  for (const record of slices) {
    const pixels = ready.get(record.index),
      row = head.ascending ? depth - 1 - record.index : record.index;
    if (!pixels || pixels.width !== first.width || pixels.height !== first.height) continue;
    const table = grey(pixels.step),
      start = coronal ? place * pixels.width : place,
      step = coronal ? 1 : pixels.width;
    for (let x = 0; x < width; x++) out[row * width + x] = table[pixels.values[start + x * step] + 32768];
    for (const lesion of shownLesions(record)) {
      for (const at of masks(lesion).inside) {
        const x = at % record.width,
          y = (at - x) / record.width;
        if ((coronal ? y : x) === place)
          blend(out, row * width + (coronal ? x : y), COLORS[lesion.label % COLORS.length], opacity);
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function draw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => {
    queued = false;
    if (state.plane !== 'axial') drawAcross();
    else if (!drawAxial()) return;
    describe();
  });
}
