// The data of the page, and the pixels of its slices, decoded when first needed and then kept.
const head = data('head'),
  hounsfield = head.unit === 'HU';
const slices = [...document.querySelectorAll('script[data-record]')].map(node => JSON.parse(node.textContent));
// A model may have class names but predict only lesions.
const classes = slices.some(record => record.label !== null) ? head.classes : [];
const blocks = new Map([...document.querySelectorAll('script[data-pixels]')].map(node => [Number(node.dataset.pixels), node]));
const state = {
  at: 0,
  plane: 'axial',
  place: {coronal: 0, sagittal: 0},
  window: head.windows[0].slice(1),
  overlay: true,
  rois: false,
  chosen: null,
  details: false,
};

const ready = new Map(),
  pending = new Map();
function load(index) {
  if (ready.has(index) || !blocks.has(index)) return Promise.resolve();
  if (!pending.has(index)) {
    const node = blocks.get(index),
      {height, width, step} = node.dataset;
    pending.set(
      index,
      decodePixels(node.textContent, Number(height), Number(width)).then(values => {
        ready.set(index, {values, height: Number(height), width: Number(width), step: Number(step)});
        node.textContent = ''; // the text is no longer needed
      }),
    );
  }
  return pending.get(index);
}

/** Decode all slices, neighbours of the current one first. */
async function loadRest() {
  while (ready.size < blocks.size) {
    let next = null;
    for (const record of slices) {
      const apart = Math.abs(record.index - slices[state.at].index);
      if (!ready.has(record.index) && blocks.has(record.index) && (next === null || apart < next[0]))
        next = [apart, record.index];
    }
    if (next === null) break;
    await load(next[1]);
    if (ready.size % 32 === 0 && state.plane !== 'axial') draw();
    await new Promise(resolve => setTimeout(resolve));
  }
  document.documentElement.dataset.loaded = ready.size;
  if (state.plane !== 'axial') draw();
}
