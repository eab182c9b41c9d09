'use strict';
(() => {
  const head = data('head'), {runs} = head, LINES = [['#0b57a4'], ['#b3590a', [8, 4]], ['#7a1020', [2, 3]], ['#2c6e2f', [10, 3, 2, 3]]];
  const confidence = item => item.scores[item.pred], mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
  const line = at => ({stroke: LINES[at % LINES.length][0], dash: LINES[at % LINES.length][1], width: 1.8, points: {show: false}});
  let run = runs[0], cell = null, order = 'high';

  const probabilities = (classes, item) => classes.map((name, k) => `${name} ${fixed(item.scores[k], 3)}`).join(', ');

  function sliceFigure(item) {
    const {classes} = run, wrong = item.label !== item.pred, text = `truth ${classes[item.label]}, predicted ${classes[item.pred]}`;
    return el('figure', {class: wrong ? 'wrong' : null}, picture(item.picture, item.path), el('figcaption', {}, el('strong', {}, text), el('br'),
      probabilities(classes, item), el('br'), el('span', {class: 'faint'}, item.path)));
  }

  function showMetrics() {
    $('synthetic').hidden = !runs.some(one => one.synthetic);
    const rows = Object.entries(run.metrics).map(([name, value]) => [name, typeof value === 'number' ? fixed(value, 4) : String(value)]);
    const {slices, lesions} = run;
    $('metrics').replaceChildren(el('p', {}, `${run.name}, ${run.split} split: ${plural(slices.length, 'classified slice')}, ${plural(lesions.length, 'slice')} with lesion annotation.`),
      el('details', {}, el('summary', {}, 'all scores'), table(['score', 'value'], rows, [1])));
    $('about').replaceChildren(el('h2', {}, 'Model'), modelTable(run.model, run.versions, null, run.created));
  }

  function showConfusion() {
    const {classes, slices} = run;
    $('confusion').replaceChildren();
    $('gallery').replaceChildren();
    if (!slices.length) return;
    const rows = classes.map((name, truth) => {
      const own = slices.filter(item => item.label === truth);
      return [el('strong', {}, `${name} (${own.length})`), ...classes.map((_, pred) => {
        const number = own.filter(item => item.pred === pred).length, share = own.length ? ` (${(100 * number / own.length).toFixed(1)} %)` : '';
        return el('button', {type: 'button', 'data-cell': `${truth},${pred}`, 'aria-label': `truth ${name}, predicted ${classes[pred]}: ${number} slices`,
          onclick: () => choose([truth, pred])}, `${number}${share}`);
      })];
    });
    const matrix = table(['truth \\ predicted', ...classes], rows);
    matrix.classList.add('confusion');
    $('confusion').append(el('h2', {}, 'Confusion matrix'), el('p', {class: 'faint screen'}, 'A cell opens its slices.'), matrix,
      el('p', {}, el('button', {type: 'button', id: 'wrong', class: 'screen', onclick: () => choose(null)}, `all ${slices.filter(item => item.label !== item.pred).length} misclassified slices`)));
    choose(null);
  }

  function choose(wanted) {
    cell = wanted;
    for (const button of $('confusion').querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(wanted ? button.dataset.cell === wanted.join() : button.id === 'wrong'));
    }
    const {classes, slices} = run;
    const items = slices.filter(item => cell ? item.label === cell[0] && item.pred === cell[1] : item.label !== item.pred);
    const up = order === 'high' ? -1 : 1;
    items.sort(order === 'path' ? (a, b) => (a.path < b.path ? -1 : 1) : (a, b) => up * (confidence(a) - confidence(b)) || (a.path < b.path ? -1 : 1));
    const sort = el('select', {id: 'order', onchange: event => { order = event.target.value; choose(cell); }},
      ...[['high', 'most confident first'], ['low', 'least confident first'], ['path', 'by path']].map(([value, text]) => el('option', {value, selected: value === order}, text)));
    const title = cell ? `Truth ${classes[cell[0]]}, predicted ${classes[cell[1]]}: ${plural(items.length, 'slice')}` : `Misclassified: ${plural(items.length, 'slice')}`;
    $('gallery').replaceChildren(el('h2', {}, title), el('div', {class: 'controls screen'}, el('label', {}, 'order ', sort)));
    if (head.pairs) $('gallery').append(el('p', {class: 'faint'}, 'Left: the slice; right: with predicted lesions.'));
    gallery($('gallery'), items, sliceFigure);
  }

  function chart(title, text, options, values) {
    const place = el('div'), width = Math.min(460, document.documentElement.clientWidth - 40);
    $('curves').append(el('div', {}, el('h2', {}, title), place, el('p', {class: 'faint'}, text)));
    new uPlot({width, height: 300, cursor: {drag: {x: false, y: false}}, legend: {live: false}, ...options,
      scales: {x: {time: false, range: [0, 1]}, y: {range: [0, 1]}}}, values, place);
  }

  function showCurves() {
    const {classes, roc, reliability} = run;
    $('curves').replaceChildren();
    if (roc && roc.some(Boolean)) {
      const rates = Array.from({length: 101}, (_, at) => at / 100), known = classes.map((name, k) => [name, roc[k]]).filter(([, curve]) => curve);
      chart('ROC, each class against the rest', known.map(([name, curve]) => `AUC of ${name}: ${fixed(curve.auc, 4)}`).join('; '),
        {axes: [{label: 'false positive rate', size: 44}, {label: 'true positive rate', size: 55}],
          series: [{}, ...known.map(([name], at) => ({label: name, ...line(at)}))]}, [rates, ...known.map(([, curve]) => curve.true)]);
    }
    if (reliability) {
      const filled = reliability.count.map((_, at) => at).filter(at => reliability.count[at]);
      chart('Reliability', `Share of correct predictions by confidence; the line is ideal. ECE ${fixed(100 * reliability.ece, 2)} %. Slices per bin: ${filled.map(at => reliability.count[at]).join(', ')}.`,
        {axes: [{label: 'probability of the predicted class', size: 44}, {label: 'share correct', size: 55}],
          series: [{}, {label: 'ideal', ...line(3)}, {label: 'model', ...line(0), points: {show: true, size: 8}}]},
        [[0, ...filled.map(at => reliability.confidence[at]), 1], [0, ...filled.map(at => reliability.confidence[at]), 1], [null, ...filled.map(at => reliability.accuracy[at]), null]]);
    }
  }

  function showLesions() {
    $('lesions').replaceChildren();
    if (!run.lesions.length) return;
    const items = [...run.lesions].sort((a, b) => mean(a.ap) - mean(b.ap) || (a.path < b.path ? -1 : 1));
    $('lesions').append(el('h2', {}, 'Lesion segmentation, worst slices first'), el('p', {class: 'faint'}, head.pairs ? 'Left: annotated lesions, dashed; right: predicted lesions.' : 'The page of each test run shows the lesions.'));
    gallery($('lesions'), items, item => el('figure', {}, picture(item.picture, item.path), el('figcaption', {},
      el('strong', {}, `mAP ${fixed(mean(item.ap), 3)}, AP50 ${fixed(item.ap[0], 3)}`), `; ${plural(item.num_gt, 'lesion')} annotated, ${item.num_pred} predicted`, el('br'), el('span', {class: 'faint'}, item.path))), 8);
  }

  /** Two models on the same slices: disagreements first, then by the difference of the probability of the true class. */
  function compare() {
    const able = runs.filter(one => one.slices.length);
    if (able.length < 2) return;
    const pick = [0, 1].map(at => el('select', {id: `model-${at}`, onchange: show}, ...able.map((one, k) => el('option', {value: k, selected: k === at}, one.name))));
    const place = el('div', {id: 'pairs'});
    $('compare').append(el('h2', {}, 'Two models on the same slices'), el('div', {class: 'controls'}, el('label', {}, 'model A ', pick[0]), el('label', {}, 'model B ', pick[1])), place);
    function show() {
      const [a, b] = pick.map(select => able[select.value]), others = new Map(b.slices.map(item => [item.path, item]));
      const pairs = a.slices.filter(item => others.has(item.path)).map(item => [item, others.get(item.path)]);
      const gap = ([one, two]) => Math.abs(one.scores[one.label] - two.scores[two.label]), differ = ([one, two]) => a.classes[one.pred] !== b.classes[two.pred];
      const counts = [[false, false], [false, true], [true, false], [true, true]].map(([x, y]) => pairs.filter(([one, two]) => (one.pred === one.label) === x && (two.pred === two.label) === y).length);
      pairs.sort((one, two) => differ(two) - differ(one) || gap(two) - gap(one));
      place.replaceChildren(el('p', {}, `${plural(pairs.length, 'slice')} in both: both right ${counts[3]}, A alone ${counts[2]}, B alone ${counts[1]}, neither ${counts[0]}; ${pairs.filter(differ).length} disagreements, shown first.`));
      gallery(place, pairs, ([one, two]) => el('figure', {class: differ([one, two]) ? 'wrong' : null}, picture(one.picture ?? two.picture, one.path),
        el('figcaption', {}, el('strong', {}, `truth ${a.classes[one.label]}`), el('br'), `A: ${a.classes[one.pred]} (${probabilities(a.classes, one)})`, el('br'),
          `B: ${b.classes[two.pred]} (${probabilities(b.classes, two)})`, el('br'), el('span', {class: 'faint'}, one.path))), 12);
    }
    show();
  }

  function showFigures() {
    const drawn = head.figures.filter(one => one.picture !== null), others = head.figures.filter(one => one.picture === null);
    if (!head.figures.length) return;
    $('figures').append(el('h2', {}, 'Figures'), ...drawn.map(one => el('figure', {class: 'large'}, el('h3', {}, one.title), picture(one.picture, one.title),
      el('figcaption', {}, one.text))));
    if (others.length) $('figures').append(el('ul', {class: 'faint'}, ...others.map(one => el('li', {}, `${one.title}. ${one.text}`))));
  }

  function show(at) {
    run = runs[at];
    for (const part of [showMetrics, showConfusion, showCurves, showLesions]) part();
  }

  $('title').textContent = head.title;
  if (head.notes.length) $('notes').append(noteList(head.notes));
  $('run-label').hidden = runs.length < 2;
  $('run').append(...runs.map((one, at) => el('option', {value: at}, one.name)));
  $('run').addEventListener('change', event => show(Number(event.target.value)));
  if (!runs.length) {
    $('metrics').append(el('p', {}, 'No run with a prediction for each slice.'));
    return;
  }
  show(0);
  compare();
  showFigures();
})();
