// The text beside the current slice.
let described = null;
function describe() {
  const record = slices[state.at],
    axial = state.plane === 'axial';
  const place = axial ? state.at : state.place[state.plane],
    slider = $('position');
  slider.max = axial ? slices.length - 1 : (state.plane === 'coronal' ? slices[0].height : slices[0].width) - 1;
  slider.value = place;
  $('position-value').textContent = `${place + 1} / ${Number(slider.max) + 1}`;
  const known = head.scan.kind !== 'images';
  $('side-left').textContent = !known ? '' : state.plane === 'sagittal' ? 'A' : 'R';
  $('side-right').textContent = !known ? '' : state.plane === 'sagittal' ? 'P' : 'L';
  $('corner').textContent = axial
    ? record.name + (record.position_mm === null ? '' : `, ${fixed(record.position_mm, 1)} mm`)
    : `${state.plane}, ${place + 1}`;
  $('empty').hidden = !axial || blocks.has(record.index);
  canvas.dataset.slice = axial ? record.index : place;
  canvas.dataset.plane = state.plane;
  canvas.setAttribute('aria-label', `${state.plane} view, ${place + 1} of ${Number(slider.max) + 1}`);
  const key = [state.at, threshold(), state.chosen?.number].join();
  if (key === described) return;
  described = key;
  clearTimeout(describe.timer);
  // While the user scrolls, drawing the slice comes first.
  describe.timer = setTimeout(() => refill($('current'), ...panel(record)), 40);
  if (curve) curve.redraw(false, false);
}

function panel(record) {
  const shown = record.lesions.filter(lesion => lesion.score >= threshold());
  const parts = [el('h2', {}, `Slice ${record.index + 1}: ${record.label ?? 'not classified'}`)];
  if (classes.length) {
    parts.push(
      el(
        'div',
        {class: 'bars'},
        ...classes.flatMap(name => [
          el('span', {}, name),
          el('meter', {min: 0, max: 1, value: record.probabilities[name], 'aria-label': `probability of ${name}`}),
          el('span', {}, fixed(record.probabilities[name], 3)),
        ]),
      ),
      el('p', {class: 'faint'}, 'Class probabilities are computed independently and need not add up to 1.'),
    );
  }
  if (record.notes.length) parts.push(noteList(record.notes));
  const shares = record.lesion_shares ? classes : [];
  const rows = shown.map(lesion => ({
    chosen: lesion === state.chosen,
    cells: [
      el(
        'button',
        {
          type: 'button',
          'data-key': `lesion ${lesion.number}`,
          'aria-pressed': String(lesion === state.chosen),
          onclick: () => choose(record, lesion),
        },
        `lesion ${lesion.number}`,
      ),
      fixed(lesion.score, 2),
      area(lesion),
      ...shares.map((_, at) => percent(record.lesion_shares[lesion.number - 1][at])),
    ],
  }));
  if (shares.length) rows.push(['RoIs outside lesions', '', '', ...shares.map((_, at) => percent(record.other_shares[at]))]);
  if (record.slice_shares) rows.push(['the whole slice', '', '', ...shares.map((_, at) => percent(record.slice_shares[at]))]);
  parts.push(el('h2', {}, `Lesions with a score of at least ${fixed(threshold(), 2)}: ${shown.length}`));
  if (shares.length)
    parts.push(el('p', {class: 'faint'}, 'Below each class: the share of the attribution for (+) or against (\u2212) it.'));
  if (rows.length) parts.push(table(['', 'score', 'area', ...shares], rows, [1, 2, ...shares.map((_, at) => at + 3)]));
  if (record.rois) parts.push(...roiPanel(record));
  else if (classes.length) parts.push(el('p', {class: 'faint screen'}, head.no_rois));
  return parts;
}

const area = lesion =>
  !lesion.mask ? '\u2013' : lesion.area_mm2 === null ? `${lesion.area_px} px` : `${fixed(lesion.area_mm2, 0)} mm\u00b2`;
