// Start the page of a test run or a report.
const head = data('head');
const {runs} = head;
let run = runs[0];

function show(at) {
  run = runs[at];
  for (const part of [showMetrics, showConfusion, showCurves, showLesions]) part();
}

function start() {
  $('title').textContent = head.title;
  if (head.notes.length) $('notes').append(noteList(head.notes));
  $('run-label').parentElement.hidden = runs.length < 2;
  $('run').append(...runs.map((one, at) => el('option', {value: at}, one.name)));
  $('run').addEventListener('change', event => show(Number(event.target.value)));
  if (!runs.length) {
    $('metrics').append(el('p', {}, 'No run has predictions for individual slices.'));
    return;
  }
  show(0);
  compare();
  showFigures();
}

start();
