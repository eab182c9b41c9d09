// Start the page of a scan.
function start() {
  if (!hounsfield) $('keys').textContent = $('keys').textContent.replace('L, M and F select a window; ', '');
  $('name').textContent = head.scan.name;
  $('about').append(
    el('h2', {}, 'Model and settings'),
    modelTable(head.model, head.versions, head.settings, head.created),
    el('p', {class: 'faint'}, exactness()),
  );
  summary();
  if (!slices.length) {
    for (const part of document.querySelectorAll('.viewer, .controls, #keys')) part.hidden = true;
    return;
  }
  slices.forEach(record =>
    record.lesions.forEach((lesion, at) => {
      lesion.number = at + 1;
    }),
  );
  state.place = {coronal: slices[0].height >> 1, sagittal: slices[0].width >> 1};
  $('empty').textContent = head.no_pixels;
  for (const plane of head.planes)
    $('planes').append(el('button', {type: 'button', 'data-plane': plane, onclick: () => setPlane(plane)}, plane));
  $('planes').hidden = head.planes.length < 2;
  for (const [name, level, width] of head.windows) {
    $('windows').append(
      el('button', {type: 'button', 'data-window': `${level},${width}`, onclick: () => setWindow(level, width)}, name),
    );
  }
  for (const name of ['overlay', 'rois']) $(name).setAttribute('aria-pressed', String(state[name]));
  $('rois').hidden = !slices.some(record => record.rois);
  $('threshold').min = head.settings.score_thr;
  setThreshold(head.settings.score_thr);
  const most = head.summary.most_affected_slice;
  state.at = Math.max(
    0,
    slices.findIndex(record => (most ? record.index === most.index : record.index === slices.length >> 1)),
  );
  listen();
  drawCurve();
  largest();
  setPlane('axial');
  setWindow(...state.window);
  load(slices[state.at].index).then(loadRest);
}

start();
