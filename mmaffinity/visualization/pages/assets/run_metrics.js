// Scores and figures of the selected run.
const MAIN = [
  ['slice/f1', 'class-adjusted F1'],
  ['slice/accuracy', 'accuracy'],
  ['lesion/mAP', 'lesion mAP'],
  ['lesion/AP50', 'AP50'],
];

function showMetrics() {
  $('synthetic').hidden = !runs.some(one => one.synthetic);
  const rows = Object.entries(run.metrics).map(([name, value]) => [
    name,
    typeof value === 'number' ? fixed(value, 4) : String(value),
  ]);
  const {slices, lesions} = run;
  const best = MAIN.filter(([name]) => typeof run.metrics[name] === 'number').map(
    ([name, text]) => `${text} ${fixed(run.metrics[name], 3)}`,
  );
  $('metrics').replaceChildren(
    el(
      'p',
      {},
      `${run.name}, ${run.split} split: ${plural(slices.length, 'classified slice')}, ${plural(lesions.length, 'slice')} with lesion annotations.`,
    ),
    best.length ? el('p', {}, el('strong', {}, best.join(', '))) : '',
    rows.length ? el('details', {}, el('summary', {}, 'all scores'), table(['score', 'value'], rows, [1])) : '',
  );
  $('about').replaceChildren(el('h2', {}, 'Model'), modelTable(run.model, run.versions, null, run.created));
}

function showFigures() {
  const drawn = head.figures.filter(one => one.picture !== null),
    others = head.figures.filter(one => one.picture === null);
  if (!head.figures.length) return;
  $('figures').append(
    el('h2', {}, 'Figures'),
    ...drawn.map(one =>
      el('figure', {class: 'large'}, el('h3', {}, one.title), picture(one.picture, one.title), el('figcaption', {}, one.text)),
    ),
  );
  if (others.length)
    $('figures').append(el('ul', {class: 'faint'}, ...others.map(one => el('li', {}, `${one.title}. ${one.text}`))));
}
