// The RoIs of the current slice, and its affinity representation Y.
/** Return whether a RoI influences the class. */
const counts = (rois, at) => !rois.weights || rois.weights[at] !== 0;

/** Return what a RoI lies at: a lesion, the whole slice, or nothing. */
const place = lesion => (lesion === null ? '\u2013' : lesion === 'slice' ? 'whole slice' : `lesion ${lesion + 1}`);

function drawRois(rois) {
  context.save();
  context.lineWidth = Math.max(1, canvas.width / 400);
  context.font = `${Math.max(9, Math.round(canvas.width / 40))}px sans-serif`;
  context.setLineDash([4, 3]);
  context.strokeStyle = context.fillStyle = '#fff';
  rois.boxes.forEach(([x1, y1, x2, y2], at) => {
    if (!counts(rois, at)) return;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.fillText(`#${at + 1}`, x1, Math.max(y1 - 2, 10));
  });
  context.restore();
}

function roiPanel(record) {
  const {rois} = record,
    {weights, shares, affinity} = rois,
    rows = [];
  rois.boxes.forEach((_, at) => {
    if (counts(rois, at))
      rows.push([
        `#${at + 1}`,
        fixed(rois.scores[at], 2),
        ...(weights ? [fixed(weights[at], 2)] : []),
        place(rois.lesions[at]),
        ...(shares ? classes.map((_, k) => percent(shares[at][k])) : []),
      ]);
  });
  const header = ['RoI', 'score', ...(weights ? ['weight'] : []), 'at', ...(shares ? classes : [])];
  const parts = [
    table(
      header,
      rows,
      header.map((_, at) => at).filter(at => header[at] !== 'RoI' && header[at] !== 'at'),
    ),
  ];
  if (affinity) {
    const heat = el('canvas', {
      id: 'affinity',
      width: affinity.columns,
      height: affinity.rows,
      role: 'img',
      'aria-label': 'Affinity representation Y',
    });
    drawAffinity(heat, affinity);
    parts.push(
      el(
        'p',
        {class: 'faint'},
        `Y, ${affinity.rows} affinities x ${affinity.columns} channels; blue is negative, yellow positive; the scale ends at \u00b1${fixed(affinity.limit, 2)}.`,
      ),
      heat,
    );
  }
  if (shares) parts.push(el('p', {class: 'faint'}, head.attribution));
  return [
    el(
      'details',
      {
        class: 'screen',
        open: state.details,
        ontoggle: event => {
          state.details = event.target.open;
        },
      },
      el(
        'summary',
        {'data-key': 'rois'},
        affinity ? 'RoIs used for classification, and the affinity representation Y' : 'RoIs used for classification',
      ),
      ...parts,
    ),
  ];
}

function drawAffinity(heat, {rows, columns, values}) {
  const stops = [
    [4, 16, 63],
    [22, 60, 148],
    [56, 108, 184],
    [140, 140, 140],
    [232, 169, 74],
    [252, 214, 108],
    [255, 251, 224],
  ];
  const bytes = new Int8Array(fromBase64(values).buffer),
    picture = new ImageData(columns, rows);
  bytes.forEach((value, at) => {
    const place = (value / 127 + 1) * 3,
      low = Math.min(Math.floor(place), 5),
      part = place - low;
    for (let k = 0; k < 3; k++) picture.data[4 * at + k] = stops[low][k] + (stops[low + 1][k] - stops[low][k]) * part;
    picture.data[4 * at + 3] = 255;
  });
  heat.getContext('2d').putImageData(picture, 0, 0);
}
